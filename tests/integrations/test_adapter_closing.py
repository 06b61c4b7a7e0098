"""What an adapter's retriever opened by name is closed where the retriever cannot be made; what was passed is not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import tiny_checkpoints

pytest.importorskip("llama_index.core")
pytest.importorskip("langchain_core")
pytest.importorskip("faiss")

import langchain_rerank_plugins as lc
import llama_index.retrievers.rerank_plugins as li

from rerank_plugins import Embedder, Reranker
from rerank_plugins.engine.registry import MODELS
from rerank_plugins.errors import InvalidInputError

TEXTS = ["a red fox", "pandas eat", "pandas"]
TWO: list[Any] = [lc.TwoStageRetriever, li.TwoStageRetriever]
SENTENCES: list[Any] = [lc.SentenceRetriever, li.SentenceRetriever]


@pytest.fixture
def embedder(tmp_path: Path) -> Path:
    return tiny_checkpoints.bert_embedder(tmp_path / "embedder", pooling="mean")


@pytest.fixture
def reranker(tmp_path: Path) -> Path:
    return tiny_checkpoints.bert_reranker(tmp_path / "reranker")


@contextmanager
def nothing_stays_loaded() -> Iterator[None]:
    before = MODELS.loaded()
    yield
    assert not [one for one in MODELS.loaded() if not any(one is other for other in before)]


def load(owner: Any) -> Callable[..., Any]:
    method: Callable[..., Any] = getattr(owner, "load", None) or owner.from_persist_dir
    return method


def saved(retriever: Any, folder: Path) -> Path:
    path: Path = (getattr(retriever, "save", None) or retriever.persist)(folder)
    return path


@pytest.mark.parametrize("owner", TWO, ids=["langchain", "llamaindex"])
def test_of_documents_that_cannot_be_indexed(owner: Any, embedder: Path, reranker: Path) -> None:
    options = {"retriever": "dense", "faiss_index": "No such index"}
    with nothing_stays_loaded(), pytest.raises(InvalidInputError, match="FAISS cannot make"):
        owner.from_documents(TEXTS, embedder=embedder, reranker=reranker, **options)
    mine = Embedder(embedder, device="cpu"), Reranker(reranker, device="cpu")
    with pytest.raises(InvalidInputError, match="FAISS cannot make"):
        owner.from_documents(TEXTS, embedder=mine[0], reranker=mine[1], **options)
    assert len(mine[0].embed_queries(["x"])) == len(mine[1].score([("x", "y")])) == 1


@pytest.mark.parametrize("owner", TWO, ids=["langchain", "llamaindex"])
def test_of_a_folder_that_cannot_be_opened(owner: Any, embedder: Path, reranker: Path, tmp_path: Path) -> None:
    other = tiny_checkpoints.bert_embedder(tmp_path / "other")
    made = owner.from_documents(TEXTS, retriever="dense", embedder="mini", reranker=reranker)
    folder = saved(made, tmp_path / "saved")
    made.reranker.close()
    with nothing_stays_loaded(), pytest.raises(InvalidInputError, match="its vectors were made with"):
        load(owner)(folder, embedder=other)


@pytest.mark.parametrize("owner", SENTENCES, ids=["langchain", "llamaindex"])
def test_of_sentences(owner: Any, embedder: Path, tmp_path: Path) -> None:
    with nothing_stays_loaded(), pytest.raises(InvalidInputError, match="FAISS cannot make"):
        owner.from_documents(TEXTS, embedder=embedder, faiss_index="No such index")
    mine = Embedder(embedder, device="cpu")
    folder = saved(owner.from_documents(TEXTS, embedder=mine), tmp_path / "saved")
    mine.close()
    other = tiny_checkpoints.bert_embedder(tmp_path / "other", pooling="mean")
    with nothing_stays_loaded(), pytest.raises(InvalidInputError, match="its vectors were made with"):
        load(owner)(folder, embedder=other)
