"""Which models notebooks use: what the environment says, and the bundled ones without a hub."""

from __future__ import annotations

from pathlib import Path

import pytest
from rerank_plugins_demo import choose_models
from rerank_plugins_demo.choice import CHOICE_VARIABLE

from rerank_plugins.errors import InvalidInputError, UnsupportedModelError


def test_without_a_hub_the_bundled_models_stand_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(CHOICE_VARIABLE, raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    chosen = choose_models("org/reranker", "org/embedder")
    assert (chosen.reranker, chosen.embedder, chosen.are_mini) == ("mini", "mini", True)
    chinese = choose_models("org/reranker", "org/embedder", bundled="mini-zh")
    assert (chinese.reranker, chinese.embedder, chinese.are_mini) == ("mini-zh", "mini-zh", True)
    assert repr(chosen) == (
        "Reranker mini, embedder mini: the bundled models stand in for org/reranker and org/embedder."
    )


def test_the_environment_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CHOICE_VARIABLE, "hub")
    chosen = choose_models("org/reranker", "org/embedder")
    assert (chosen.reranker, chosen.embedder, chosen.are_mini) == ("org/reranker", "org/embedder", False)
    monkeypatch.setenv(CHOICE_VARIABLE, "mini")
    assert choose_models().are_mini
    monkeypatch.setenv(CHOICE_VARIABLE, "large")
    with pytest.raises(InvalidInputError, match="must be auto, mini or hub, got 'large'"):
        choose_models()


def test_the_wrong_kind_of_model_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CHOICE_VARIABLE, "mini")
    with pytest.raises(UnsupportedModelError, match="an embedder, and a reranker"):
        choose_models("BAAI/bge-m3", "BAAI/bge-reranker-v2-m3")
