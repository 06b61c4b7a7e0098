"""A ColBERT behind the compressor for any model, with its documents' vectors from a store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import colbert_checkpoints as tiny
import pytest
from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_rerank_plugins import FirstStageRetriever, RerankCompressor, TwoStageRetriever
from rerank_plugins_testing.langchain import CompressorConformance

from rerank_plugins import Embedder, Reranker, TokenVectorStore
from rerank_plugins.retrieval import MultiVectorIndex


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.stanford(tmp_path_factory.mktemp("late") / "model")


class TestColbert(CompressorConformance):
    @pytest.fixture(autouse=True)
    def _take_folder(self, folder: Path) -> None:
        self.folder = folder

    @property
    def compressor_class(self) -> type[BaseDocumentCompressor]:
        return RerankCompressor

    @property
    def compressor_params(self) -> dict[str, Any]:
        return {"model": str(self.folder), "device": "cpu"}


def test_vectors_of_documents_come_from_the_store(folder: Path, tmp_path: Path) -> None:
    store = tmp_path / "vectors"
    documents = [Document(text) for text in tiny.SENTENCES]
    with Reranker(folder, device="cpu", cache=TokenVectorStore(store)) as reranker:
        assert reranker.keep_vectors(one.page_content for one in documents) == len(documents)
    made = RerankCompressor(model=str(folder), device="cpu", vectors=str(store), top_n=3)
    plain = RerankCompressor(model=str(folder), device="cpu", top_n=3)
    found = made.compress_documents(documents, "What do pandas eat?")
    expected = plain.compress_documents(documents, "What do pandas eat?")
    assert [one.page_content for one in found] == [one.page_content for one in expected]
    scores = [[one.metadata["relevance_score"] for one in side] for side in (found, expected)]
    assert scores[0] == pytest.approx(scores[1], abs=0.01)


def test_both_stages_share_a_store(folder: Path, tmp_path: Path) -> None:
    reranker = RerankCompressor(model=str(folder), device="cpu", vectors=str(tmp_path / "vectors"))
    with Embedder(folder, device="cpu") as embedder:
        options = {"retriever": "multi_vector", "embedder": embedder, "top_k": 4, "top_n": 2}
        made = TwoStageRetriever.from_documents(
            tiny.SENTENCES, reranker=reranker, vectors=tmp_path / "vectors", **options
        )
        assert len(TokenVectorStore(tmp_path / "vectors")) == len(tiny.SENTENCES)
        before = reranker.reranker.stats().inputs
        found = made.invoke("What do pandas eat?")
        # The query alone: what the first stage added after this reranker was opened is seen.
        assert reranker.reranker.stats().inputs == before + 1
        plain = TwoStageRetriever.from_documents(
            tiny.SENTENCES, reranker=RerankCompressor(model=str(folder), device="cpu"), **options
        )
        assert [one.page_content for one in found] == [one.page_content for one in plain.invoke("What do pandas eat?")]


async def test_token_vectors_are_a_first_stage(folder: Path, tmp_path: Path) -> None:
    with Embedder(folder, device="cpu") as embedder:
        made = FirstStageRetriever.from_documents(
            [Document(text) for text in tiny.SENTENCES], retriever="multi_vector", embedder=embedder, top_k=3
        )
        index = MultiVectorIndex({text: text for text in tiny.SENTENCES}, embedder)
        expected = list(index.search(tiny.SENTENCES[1], top_k=3).items())
        for found in (made.invoke(tiny.SENTENCES[1]), await made.ainvoke(tiny.SENTENCES[1])):
            assert [(one.page_content, one.metadata["retrieval_score"]) for one in found] == expected
        made.save(tmp_path / "kept")
        again = FirstStageRetriever.load(tmp_path / "kept", embedder=embedder)
        assert again.invoke(tiny.SENTENCES[1]) == made.invoke(tiny.SENTENCES[1])
        assert again.add_documents(["Pandas sleep."], ids=["new"]) == ["new"]
        assert again.invoke("Pandas sleep.")[0].page_content == "Pandas sleep."
