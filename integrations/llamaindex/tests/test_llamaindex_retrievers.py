"""Two stages in one retriever: the core's first stages, any other retriever, any vector store."""

from __future__ import annotations

import asyncio

import pytest
from llama_index.core import Document, QueryBundle, VectorStoreIndex
from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.evaluation import RetrieverEvaluator
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.schema import MetadataMode, NodeWithScore, TextNode, TransformComponent
from llama_index.core.vector_stores import SimpleVectorStore
from llama_index.core.vector_stores.types import BasePydanticVectorStore, VectorStoreQueryResult
from llama_index.embeddings.rerank_plugins import InstructionEmbedding
from llama_index.postprocessor.rerank_plugins import RerankPostprocessor
from llama_index.retrievers.rerank_plugins import FirstStageRetriever, TwoStageRetriever
from rerank_plugins_testing.llamaindex import recording

from rerank_plugins import Embedder, Reranker
from rerank_plugins import TwoStageRetriever as CoreRetriever
from rerank_plugins.errors import InvalidInputError

TEXTS = [
    "The giant panda eats bamboo.",
    "Paris is the capital of France.",
    "Net revenue grew in 2019.",
    "A panda is a bear of China.",
]
QUERY = "What does a panda eat?"


@pytest.fixture(scope="module")
def models(checkpoints):
    embedder = Embedder(checkpoints / "bert-embedder", device="cpu")
    return {"embedder": embedder, "reranker": Reranker(checkpoints / "bert-reranker", device="cpu")}


@pytest.mark.parametrize("retriever", ["bm25", "dense", "hybrid"])
@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_it_finds_what_the_core_finds(models, retriever, is_async):
    nodes = [TextNode(id_=str(i), text=text) for i, text in enumerate(TEXTS)]
    two = TwoStageRetriever.from_documents(nodes, retriever=retriever, **models, top_k=3, top_n=2)
    core = CoreRetriever.from_documents(TEXTS, retriever=retriever, **models, top_k=3, top_n=2)
    found = asyncio.run(two.aretrieve(QUERY)) if is_async else two.retrieve(QUERY)
    expected = core.search(QUERY)
    assert [one.node_id for one in found] == [one.id for one in expected]
    for one, result in zip(found, expected, strict=True):
        assert one.score == pytest.approx(result.rerank_score, abs=1e-6)
        assert one.metadata["retrieval_rank"] == result.retrieval_rank
        assert one.metadata["retrieval_score"] == pytest.approx(result.retrieval_score)
        assert one.metadata["rerank_rank"] == result.rank
        for mode in (MetadataMode.EMBED, MetadataMode.LLM):
            assert "retrieval" not in one.node.get_content(metadata_mode=mode)
    assert all(not node.metadata for node in nodes)


def test_without_a_reranker_the_first_stage_stands(models):
    two = TwoStageRetriever.from_documents(TEXTS, **{**models, "reranker": None}, top_k=4, top_n=3)
    first = FirstStageRetriever.from_documents(TEXTS, embedder=models["embedder"], top_k=4)
    assert [one.text for one in two.retrieve(QUERY)] == [one.text for one in first.retrieve(QUERY)][:3]
    assert two.reranker is None


class Sentences(TransformComponent):
    """Makes a node of each sentence."""

    def __call__(self, nodes, **_):
        return [
            TextNode(text=f"{sentence}.", metadata=node.metadata)
            for node in nodes
            for sentence in node.text.rstrip(".").split(". ")
        ]


def test_documents_are_split_by_transformations(models):
    document = Document(text=" ".join(TEXTS), metadata={"file": "a"})
    two = TwoStageRetriever.from_documents(
        [document], transformations=[Sentences()], retriever="bm25", reranker=models["reranker"], top_n=None
    )
    found = two.retrieve(QUERY)
    assert {one.text for one in found} >= {TEXTS[0], TEXTS[3]}
    assert {one.text for one in found} <= set(TEXTS)
    assert all(one.metadata["file"] == "a" for one in found)


class TextStore(BasePydanticVectorStore):
    """A vector store that keeps texts and returns its first nodes."""

    stores_text: bool = True
    _nodes: list[NodeWithScore] = PrivateAttr(default_factory=list)

    @property
    def client(self):
        return None

    def add(self, nodes, **_):
        self._nodes.extend(nodes)

    def delete(self, ref_doc_id, **_):
        raise NotImplementedError

    def query(self, query, **_):
        found = self._nodes[: query.similarity_top_k]
        return VectorStoreQueryResult(
            nodes=[one.node for one in found],
            similarities=[one.score for one in found],
            ids=[one.node_id for one in found],
        )


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_over_a_vector_store(models, is_async):
    embedding = InstructionEmbedding.from_embedder(models["embedder"])
    index = VectorStoreIndex.from_documents(
        [Document(text=text) for text in TEXTS],
        embed_model=embedding,
        transformations=[SentenceSplitter(tokenizer=str.split)],
    )
    two = TwoStageRetriever(
        index.as_retriever(similarity_top_k=3), reranker=RerankPostprocessor.from_reranker(models["reranker"]), top_n=2
    )
    found = asyncio.run(two.aretrieve(QUERY)) if is_async else two.retrieve(QUERY)
    plain = index.as_retriever(similarity_top_k=3).retrieve(QUERY)
    assert len(found) == 2
    for one in found:
        assert plain[one.metadata["retrieval_rank"] - 1].node_id == one.node_id
    store = TextStore()
    store.add(index.as_retriever(similarity_top_k=4).retrieve(QUERY))
    made = TwoStageRetriever.from_vector_store(store, embed_model=embedding, reranker=models["reranker"], top_k=3)
    assert [one.node_id for one in made.retrieve(QUERY)][:2] == [one.node_id for one in found]
    with pytest.raises(InvalidInputError, match="keeps no texts"):
        TwoStageRetriever.from_vector_store(SimpleVectorStore(), embed_model=embedding, reranker=None)


class Fixed(BaseRetriever):
    """Returns the same nodes for any query."""

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return [NodeWithScore(node=TextNode(id_=str(i), text=text)) for i, text in enumerate(TEXTS)]


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_events_of_both_stages(models, is_async):
    with recording() as seen:
        two = TwoStageRetriever(
            Fixed(),
            reranker=RerankPostprocessor.from_reranker(models["reranker"]),
            top_n=1,
            callback_manager=seen.callback_manager,
        )
        found = asyncio.run(two.aretrieve(QUERY)) if is_async else two.retrieve(QUERY)
    assert seen.names == ["ReRankStartEvent", "ReRankEndEvent"]
    assert seen.phases == ["start", "end"]
    assert len(found) == 1
    assert "retrieval_score" not in found[0].metadata


def test_options_of_a_given_postprocessor_are_kept(models):
    given = RerankPostprocessor.from_reranker(models["reranker"], top_n=1, threshold=0.0, keep_retrieval_score=False)
    two = TwoStageRetriever(Fixed(), reranker=given)
    assert len(two.retrieve(QUERY)) == 1
    assert "retrieval_rank" not in two.retrieve(QUERY)[0].metadata
    assert len(TwoStageRetriever(Fixed(), reranker=given, top_n=3).retrieve(QUERY)) == 3
    assert given.top_n == 1


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"top_n": 0}, "top_n"),
        ({"top_k": 0}, "top_k"),
        ({"threshold": 0.5, "reranker": None}, "there is no reranker"),
        ({"documents": "one text"}, "put a single one into a list"),
        ({"documents": [3]}, "must be a node"),
        ({"documents": [TextNode(id_="a", text="x"), TextNode(id_="a", text="y")]}, "only 1 different ids"),
    ],
)
def test_what_cannot_work_is_an_error(models, options, match):
    options = {"documents": TEXTS, "retriever": "bm25", "reranker": models["reranker"], **options}
    with pytest.raises(ValueError, match=match):
        TwoStageRetriever.from_documents(options.pop("documents"), **options)
    with pytest.raises(InvalidInputError, match="a model's name, or None"):
        TwoStageRetriever(Fixed(), reranker=models["embedder"])


@pytest.mark.parametrize("query", ["", "  "])
def test_a_blank_query_is_an_error(models, query):
    two = TwoStageRetriever(Fixed(), reranker=RerankPostprocessor.from_reranker(models["reranker"]))
    with pytest.raises(InvalidInputError, match="blank"):
        two.retrieve(query)
    with pytest.raises(InvalidInputError, match="blank"):
        asyncio.run(two.aretrieve(query))


def test_retriever_evaluator_agrees_with_our_measures(models, tmp_path):
    """LlamaIndex's own evaluator through the adapters, and the grid on the same data: the same figures."""
    pytest.importorskip("ir_measures")
    from rerank_plugins.evaluation import Dataset
    from rerank_plugins.evaluation import Document as Entry
    from rerank_plugins.evaluation.grid import GridOptions, run_evaluation

    texts = [f"{one} {two} panda report {one}" for one in ("red", "blue", "green", "old") for two in TEXTS]
    queries = {f"q{i}": f"{text} panda eats" for i, text in enumerate(texts[::2])}
    qrels = {f"q{i}": {str(2 * i): 1, str((2 * i + 5) % 16): 1} for i in range(len(queries))}
    dataset = Dataset(
        name="t", documents={str(i): Entry(text) for i, text in enumerate(texts)}, queries=queries, qrels=qrels
    )
    embedder, reranker = models["embedder"], models["reranker"]
    options = GridOptions(
        retrievers=("dense", "hybrid"), embedders=(embedder.model,), rerankers=(reranker.model,), top_ks=(6,),
        top_ns=(3,), measures=("hit@3", "MRR@3"), n_resamples=1, n_permutations=1, device="cpu",
    )  # fmt: skip
    cells = run_evaluation([dataset], options, tmp_path).cells
    assert len(cells) == 4
    nodes = [TextNode(id_=str(i), text=text) for i, text in enumerate(texts)]
    for cell in cells:
        two = TwoStageRetriever.from_documents(
            nodes, retriever=cell.system.retriever, embedder=embedder,
            reranker=reranker if cell.system.reranker else None, top_k=cell.system.top_k, top_n=cell.system.top_n,
        )  # fmt: skip
        evaluator = RetrieverEvaluator.from_metric_names(["hit_rate", "mrr"], retriever=two)
        results = [evaluator.evaluate(queries[key], expected_ids=list(qrels[key])).metric_vals_dict for key in queries]
        for theirs, ours in (("hit_rate", "hit@3"), ("mrr", "MRR@3")):
            mean = sum(one[theirs] for one in results) / len(results)
            assert mean > 0.0
            assert cell.measures[ours].value == pytest.approx(mean, abs=1e-9)


def test_a_block_reaches_the_retriever_that_holds_the_postprocessor(models):
    two = TwoStageRetriever.from_documents(TEXTS, **models)
    with two.reranker.using(keep_retrieval_score=False):
        assert all("retrieval_rank" not in one.metadata for one in two.retrieve(QUERY))
        assert all("retrieval_rank" not in one.metadata for one in asyncio.run(two.aretrieve(QUERY)))
    assert all("retrieval_rank" in one.metadata for one in two.retrieve(QUERY))


def test_callbacks_that_are_none_are_told_before_anything_is_opened():
    with pytest.raises(InvalidInputError, match="callback_manager must be a CallbackManager"):
        TwoStageRetriever.from_documents(TEXTS, embedder="none/such", reranker="none/such", callback_manager=3)
