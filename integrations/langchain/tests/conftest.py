from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from langchain_checkpoints import (
    save_bert_embedder,
    save_bert_reranker,
    save_xlmr_embedder,
    save_xlmr_reranker,
)

_SAVERS: dict[str, Callable[[Path], Path]] = {
    "bert-reranker": save_bert_reranker,
    "xlmr-reranker": save_xlmr_reranker,
    "bert-embedder": save_bert_embedder,
    "xlmr-embedder": save_xlmr_embedder,
}


@pytest.fixture(scope="session")
def langchain_models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Name to folder of each tiny checkpoint."""
    root = tmp_path_factory.mktemp("langchain_models")
    return {name: str(save(root / name)) for name, save in _SAVERS.items()}


@pytest.fixture(autouse=True)
def no_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reaches the network or finds a real model on the machine it runs on."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
