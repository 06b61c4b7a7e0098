"""A ColBERT behind the postprocessor for any model, with its documents' vectors from a store."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import colbert_checkpoints as tiny
import pytest
from llama_index.core.schema import NodeWithScore, TextNode
from llama_index.postprocessor.rerank_plugins import BgeRerankPostprocessor, RerankPostprocessor
from llama_index.retrievers.rerank_plugins import FirstStageRetriever, TwoStageRetriever
from rerank_plugins_testing.llamaindex import PostprocessorConformance

from rerank_plugins import Embedder, Reranker, TokenVectorStore, VectorStoreError
from rerank_plugins.retrieval import MultiVectorIndex


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.stanford(tmp_path_factory.mktemp("late") / "model")


class TestColbert(PostprocessorConformance):
    @pytest.fixture
    def make(self, folder):
        return partial(RerankPostprocessor, model=str(folder), device="cpu")


def test_vectors_of_nodes_come_from_the_store(folder: Path, tmp_path: Path) -> None:
    store = tmp_path / "vectors"
    nodes = [NodeWithScore(node=TextNode(text=text), score=0.1) for text in tiny.SENTENCES]
    with Reranker(folder, device="cpu", cache=TokenVectorStore(store)) as reranker:
        assert reranker.keep_vectors(node.get_content() for node in nodes) == len(nodes)
    made = RerankPostprocessor(model=folder, device="cpu", vectors=store, top_n=3)
    plain = RerankPostprocessor(model=folder, device="cpu", top_n=3)
    found = made.postprocess_nodes(nodes, query_str="What do pandas eat?")
    expected = plain.postprocess_nodes(nodes, query_str="What do pandas eat?")
    assert [one.node.node_id for one in found] == [one.node.node_id for one in expected]
    assert [one.score for one in found] == pytest.approx([one.score for one in expected], abs=0.01)
    assert len(made.reranker.vectors) == len(nodes)
    again = RerankPostprocessor.from_dict(made.to_dict())
    assert again.vectors == str(store)
    assert RerankPostprocessor.from_reranker(made.reranker).vectors == str(store)


def test_other_models_and_other_vectors_are_refused(folder: Path, checkpoints: Path, tmp_path: Path) -> None:
    with Reranker(folder, device="cpu", cache=TokenVectorStore(tmp_path / "vectors")) as reranker:
        reranker.keep_vectors(["a text"])
    with pytest.raises(ValueError, match="reads query and document together"):
        BgeRerankPostprocessor(model=str(checkpoints / "bert-reranker"), device="cpu", vectors=tmp_path / "vectors")
    with pytest.raises(VectorStoreError, match="length was 48 and is 32"):
        RerankPostprocessor(model=str(folder), device="cpu", max_length=32, vectors=tmp_path / "vectors")


def test_both_stages_share_a_store(folder: Path, tmp_path: Path) -> None:
    reranker = RerankPostprocessor(model=str(folder), device="cpu", vectors=tmp_path / "vectors")
    with Embedder(folder, device="cpu") as embedder:
        options = {"retriever": "multi_vector", "embedder": embedder, "top_k": 4, "top_n": 2}
        made = TwoStageRetriever.from_documents(
            tiny.SENTENCES, reranker=reranker, vectors=tmp_path / "vectors", **options
        )
        assert len(TokenVectorStore(tmp_path / "vectors")) == len(tiny.SENTENCES)
        before = reranker.reranker.stats().inputs
        found = made.retrieve("What do pandas eat?")
        # The query alone: what the first stage added after this reranker was opened is seen.
        assert reranker.reranker.stats().inputs == before + 1
        plain = TwoStageRetriever.from_documents(
            tiny.SENTENCES, reranker=RerankPostprocessor(model=str(folder), device="cpu"), **options
        )
        assert [one.text for one in found] == [one.text for one in plain.retrieve("What do pandas eat?")]


async def test_token_vectors_are_a_first_stage(folder: Path, tmp_path: Path) -> None:
    nodes = [TextNode(id_=str(place), text=text) for place, text in enumerate(tiny.SENTENCES)]
    with Embedder(folder, device="cpu") as embedder:
        made = FirstStageRetriever.from_documents(nodes, retriever="multi_vector", embedder=embedder, top_k=3)
        index = MultiVectorIndex({one.node_id: one.text for one in nodes}, embedder)
        expected = list(index.search(tiny.SENTENCES[1], top_k=3).items())
        for found in (made.retrieve(tiny.SENTENCES[1]), await made.aretrieve(tiny.SENTENCES[1])):
            assert [(one.node.node_id, one.score) for one in found] == expected
        made.persist(tmp_path / "kept")
        again = FirstStageRetriever.from_persist_dir(tmp_path / "kept", embedder=embedder)
        assert again.retrieve(tiny.SENTENCES[1]) == made.retrieve(tiny.SENTENCES[1])
        assert again.insert_nodes([TextNode(id_="new", text="Pandas sleep.")]) == ["new"]
        assert again.retrieve("Pandas sleep.")[0].node.node_id == "new"
