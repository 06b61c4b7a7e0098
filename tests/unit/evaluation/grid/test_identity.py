"""Keys of stored results."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from rerank_plugins.backends import runtimes
from rerank_plugins.evaluation.grid.identity import model_key
from rerank_plugins.evaluation.grid.plan import ModelChoice


def test_results_of_another_runtime_are_others(bert_reranker_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    choice = ModelChoice.parse(str(bert_reranker_folder))

    def key() -> str:
        return model_key(choice, kind="reranker", device="cpu")

    with_torch = key()
    assert with_torch == key()
    monkeypatch.setattr(runtimes, "_is_installed", lambda name: name == "onnxruntime")
    assert key() != with_torch


def test_results_of_a_backend_are_others_once_its_files_are(bert_reranker_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(bert_reranker_folder, folder)
    choice = ModelChoice.parse(f"cascade:{folder}@5")
    first = model_key(choice, kind="reranker", device=None)
    assert model_key(choice, kind="reranker", device=None) == first
    os.utime(folder / "config.json", (1, 1))
    assert model_key(choice, kind="reranker", device=None) != first
