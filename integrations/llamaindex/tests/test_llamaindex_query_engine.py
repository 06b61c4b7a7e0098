"""End to end: our embedding in a vector index, our postprocessor in its query engine, no network."""

from __future__ import annotations

import asyncio

import pytest
from llama_index.core import Document, Settings, VectorStoreIndex
from llama_index.core.llms import MockLLM
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.schema import NodeWithScore, TextNode
from llama_index.embeddings.rerank_plugins import BgeEmbedding
from llama_index.postprocessor.rerank_plugins import BgeRerankPostprocessor
from rerank_plugins_testing.llamaindex import recording

from rerank_plugins.testing import standstill

TEXTS = [
    "The giant panda eats bamboo.",
    "Paris is the capital of France.",
    "Net revenue grew in 2019.",
    "A panda is a bear of China.",
]
QUERY = "What does a panda eat?"


@pytest.fixture
def index(checkpoints):
    documents = [Document(text=text, metadata={"file": f"{index}.txt"}) for index, text in enumerate(TEXTS)]
    embedding = BgeEmbedding(model_name=checkpoints / "bert-embedder", device="cpu")
    return VectorStoreIndex.from_documents(
        documents, embed_model=embedding, transformations=[SentenceSplitter(tokenizer=str.split)]
    )


@pytest.fixture
def reranker(checkpoints):
    return BgeRerankPostprocessor(model=checkpoints / "bert-reranker", device="cpu", top_n=2)


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_query_engine(index, reranker, is_async, monkeypatch):
    with recording() as seen:
        # The engine gives its own callback manager, the global one, to its postprocessors.
        monkeypatch.setattr(Settings, "_callback_manager", seen.callback_manager)
        engine = index.as_query_engine(llm=MockLLM(), similarity_top_k=4, node_postprocessors=[reranker])
        response = asyncio.run(engine.aquery(QUERY)) if is_async else engine.query(QUERY)
    assert seen.names == ["ReRankStartEvent", "ReRankEndEvent"]
    assert seen.phases == ["start", "end"]
    retrieved = index.as_retriever(similarity_top_k=4).retrieve(QUERY)
    expected = reranker.postprocess_nodes(retrieved, query_str=QUERY)
    assert [one.node_id for one in response.source_nodes] == [one.node_id for one in expected]
    assert len(response.source_nodes) == 2
    for one in response.source_nodes:
        assert one.text in str(response)
    for word in ("retrieval_score", "rerank_"):
        assert word not in str(response)
    scores = {one.node_id: one.score for one in retrieved}
    for one in response.source_nodes:
        assert one.metadata["retrieval_score"] == pytest.approx(scores[one.node_id])
        assert one.node.relationships
    stored = index.docstore.docs.values()
    assert all(set(node.metadata) == {"file"} for node in stored)


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_settings_for_one_query(index, reranker, is_async):
    """The engine holds the postprocessor; a block around the query changes what it does for this query only."""
    engine = index.as_query_engine(llm=MockLLM(), similarity_top_k=4, node_postprocessors=[reranker])

    async def ask(top_n: int) -> int:
        with reranker.using(top_n=top_n):
            await asyncio.sleep(0)
            response = await engine.aquery(QUERY) if is_async else engine.query(QUERY)
        return len(response.source_nodes)

    async def ask_all() -> list[int]:
        return await asyncio.gather(*(ask(number % 4 + 1) for number in range(8)))

    assert asyncio.run(ask_all()) == [1, 2, 3, 4, 1, 2, 3, 4]
    assert len(engine.query(QUERY).source_nodes) == 2


def test_a_late_answer_keeps_the_retrieval_order(index, reranker):
    engine = index.as_query_engine(llm=MockLLM(), similarity_top_k=4, node_postprocessors=[reranker])
    retrieved = index.as_retriever(similarity_top_k=4).retrieve(QUERY)
    with standstill(reranker.reranker), reranker.using(deadline_s=0.02):
        response = engine.query(QUERY)
    assert [one.node_id for one in response.source_nodes] == [one.node_id for one in retrieved[:2]]
    assert [one.score for one in response.source_nodes] == pytest.approx([one.score for one in retrieved[:2]])
    assert all(one.metadata["rerank_fallback"] == "deadline" for one in response.source_nodes)
    assert "rerank_fallback" not in str(response)


@pytest.mark.parametrize("is_late", [False, True], ids=["reranked", "late"])
def test_what_is_nested_in_a_results_metadata_is_its_own(reranker, is_late):
    given = [NodeWithScore(node=TextNode(text=text, metadata={"tags": ["a"]}), score=1.0) for text in ("one", "two")]
    options = {"deadline_s": 1e-9} if is_late else {}
    with reranker.using(**options):
        results = reranker.postprocess_nodes(given, query_str=QUERY)
    assert [("rerank_fallback" in one.metadata) for one in results] == [is_late] * 2
    for one in results:
        one.metadata["tags"].append("of a later step")
    assert [one.metadata for one in given] == [{"tags": ["a"]}] * 2
