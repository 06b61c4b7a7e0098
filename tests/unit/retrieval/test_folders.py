"""Saved retrievers whose models were named by relative paths, opened from elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import colbert_checkpoints
import pytest
import tiny_checkpoints

from rerank_plugins import Embedder, Reranker, TokenVectorStore, TwoStageRetriever
from rerank_plugins.errors import ModelError
from rerank_plugins.retrieval import SentenceIndex
from rerank_plugins.retrieval.folders import folders_of, with_folders

TEXTS = ["Paris is the capital of France.", "Pandas eat bamboo. They sleep."]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "project"
    tiny_checkpoints.bert_embedder(folder / "models" / "embedder", pooling="mean")
    tiny_checkpoints.bert_reranker(folder / "models" / "reranker")
    monkeypatch.chdir(folder)
    return folder


def in_core(folder: Path, **models: Any) -> None:
    TwoStageRetriever.from_documents(TEXTS, **models).save(folder)


def in_langchain(folder: Path, **models: Any) -> None:
    pytest.importorskip("langchain_rerank_plugins").TwoStageRetriever.from_documents(TEXTS, **models).save(folder)


def in_llamaindex(folder: Path, **models: Any) -> None:
    owner = pytest.importorskip("llama_index.retrievers.rerank_plugins").TwoStageRetriever
    owner.from_documents(TEXTS, **models).persist(folder)


def models_of(folder: Path, save: Any) -> tuple[str, str]:
    """Return the names by which both models of a saved retriever were opened."""
    if save is in_core:
        core = TwoStageRetriever.load(folder)
        return core.first_stage.stages[0].embedder.model, core.reranker.model  # type: ignore[attr-defined, union-attr]
    if save is in_langchain:
        made = pytest.importorskip("langchain_rerank_plugins").TwoStageRetriever.load(folder)
        return made.first_stage.corpus.first_stage.stages[0].embedder.model, made.reranker.model
    made = pytest.importorskip("llama_index.retrievers.rerank_plugins").TwoStageRetriever.from_persist_dir(folder)
    return made._first_stage._corpus.first_stage.stages[0].embedder.model, made.reranker.model


@pytest.mark.parametrize("save", [in_core, in_langchain, in_llamaindex])
def test_it_opens_from_another_working_directory(project: Path, save: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    save(project / "index", embedder="models/embedder", reranker="models/reranker")
    here = "models/embedder", "models/reranker"
    assert models_of(project / "index", save) == here
    monkeypatch.chdir(project.parent)
    assert models_of(project / "index", save) == tuple(str(project / one) for one in here)
    # Moved as a whole, the names lead to the models again.
    moved = project.rename(project.parent / "elsewhere")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ModelError, match="models/"):
        models_of(moved / "index", save)
    monkeypatch.chdir(moved)
    assert models_of(moved / "index", save) == here


def test_a_sentence_index_opens_too(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    SentenceIndex({"0": TEXTS[1]}, Embedder("models/embedder", device="cpu")).save(project / "index")
    monkeypatch.chdir(project.parent)
    found = SentenceIndex.open(project / "index").search("What do pandas eat?", top_k=1)
    assert [one.id for one in found] == ["0"]


def test_names_that_are_no_paths_stay(project: Path) -> None:
    (project / "mini").mkdir()
    options = {"model": "mini", "peft_path": None, "vectors": str(project)}
    assert folders_of(options, kind="reranker") == {}
    assert folders_of({"model": "acme/none"}, kind="embedder") == {}
    assert folders_of({"vectors": "models"}, kind="reranker") == {"vectors": str(project / "models")}
    # Folders of earlier releases hold no paths.
    assert with_folders({"model": "x", "options": {}}) == {"model": "x", "options": {}}
    assert with_folders(None) is None


def test_kept_vectors_are_found_again(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    colbert_checkpoints.stanford(project / "models" / "colbert")
    reranker = Reranker("models/colbert", device="cpu", cache=TokenVectorStore("vectors"))
    reranker.keep_vectors(TEXTS)
    made = TwoStageRetriever.from_documents(TEXTS, retriever="bm25", reranker=reranker)
    made.save(project / "index")
    monkeypatch.chdir(project.parent)
    again = TwoStageRetriever.load(project / "index")
    assert again.reranker is not None
    assert again.reranker.vectors is not None
    assert again.reranker.vectors.folder == project / "vectors"
    assert len(again.reranker.vectors) == len(TEXTS)
    found = [[(one.id, one.rerank_score) for one in each.search("bamboo")] for each in (made, again)]
    assert found[0] == found[1]
