"""Two stages in one retriever: the core's first stages, any other retriever, any vector store."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableLambda
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_rerank_plugins import FirstStageRetriever, InstructionEmbeddings, RerankCompressor, TwoStageRetriever
from langchain_tests.integration_tests import RetrieversIntegrationTests
from pydantic import ValidationError

from rerank_plugins import Embedder, Reranker
from rerank_plugins import TwoStageRetriever as CoreRetriever
from rerank_plugins.errors import InvalidInputError

TEXTS = [
    "Paris is the capital of France and its largest city.",
    "Berlin is the capital of Germany; the Spree flows through it.",
    "The panda is a bear that eats bamboo in the mountains of Sichuan.",
    "Reranking reads a query and a document together and scores the pair.",
]
QUERY = "What is the capital of France?"


@pytest.fixture
def models(langchain_models: dict[str, str]) -> dict[str, Any]:
    embedder = Embedder(langchain_models["bert-embedder"], device="cpu")
    return {"embedder": embedder, "reranker": Reranker(langchain_models["bert-reranker"], device="cpu")}


class TestStandardOfTwoStages(RetrieversIntegrationTests):
    @pytest.fixture(autouse=True)
    def _take_models(self, models: dict[str, Any]) -> None:
        self.models = models

    @property
    def retriever_constructor(self) -> type[BaseRetriever]:
        return TwoStageRetriever

    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        first_stage = FirstStageRetriever.from_documents(TEXTS, embedder=self.models["embedder"])
        compressor = RerankCompressor.from_reranker(self.models["reranker"], top_n=None)
        return {"first_stage": first_stage, "reranker": compressor}

    @property
    def retriever_query_example(self) -> str:
        return QUERY

    @property
    def num_results_arg_name(self) -> str:
        return "top_n"


class TestStandardWithoutReranker(TestStandardOfTwoStages):
    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        return {"first_stage": FirstStageRetriever.from_documents(TEXTS, embedder=self.models["embedder"])}


@pytest.mark.parametrize("retriever", ["bm25", "dense", "hybrid"])
@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
async def test_it_finds_what_the_core_finds(models: dict[str, Any], retriever: Any, is_async: bool) -> None:
    documents = [Document(page_content=text, metadata={"n": n}) for n, text in enumerate(TEXTS)]
    two = TwoStageRetriever.from_documents(documents, retriever=retriever, **models, top_k=3, top_n=2)
    core = CoreRetriever.from_documents(TEXTS, retriever=retriever, **models, top_k=3, top_n=2)
    found = await two.ainvoke(QUERY) if is_async else two.invoke(QUERY)
    expected = core.search(QUERY)
    assert [str(one.metadata["n"]) for one in found] == [one.id for one in expected]
    for one, result in zip(found, expected, strict=True):
        assert one.metadata["relevance_score"] == pytest.approx(result.rerank_score, abs=1e-6)
        assert one.metadata["retrieval_score"] == pytest.approx(result.retrieval_score)
        assert one.metadata["retrieval_rank"] == result.retrieval_rank
        assert one.metadata["rerank_rank"] == result.rank
    assert all(set(document.metadata) == {"n"} for document in documents)


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
async def test_over_a_vector_store(models: dict[str, Any], is_async: bool) -> None:
    store = InMemoryVectorStore(InstructionEmbeddings.from_embedder(models["embedder"]))
    store.add_texts(TEXTS)
    two = TwoStageRetriever.from_vector_store(store, reranker=models["reranker"], top_k=3, top_n=None)
    found = await two.ainvoke(QUERY) if is_async else two.invoke(QUERY)
    plain = store.similarity_search(QUERY, k=3)
    assert len(found) == 3
    for one in found:
        assert plain[one.metadata["retrieval_rank"] - 1].id == one.id
    narrowed = TwoStageRetriever.from_vector_store(
        store,
        reranker=None,
        top_k=3,
        search_kwargs={"filter": lambda document: "capital" in document.page_content},
    )
    assert len(narrowed.invoke(QUERY)) == 2


class Recorder(BaseCallbackHandler):
    """Notes which runs start, with their parents."""

    def __init__(self) -> None:
        self.runs: list[tuple[str, Any, Any]] = []
        self.n_ended = 0

    def on_retriever_start(
        self, serialized: Any, query: str, *, run_id: Any, parent_run_id: Any = None, **kw: Any
    ) -> None:
        self.runs.append((kw["name"], run_id, parent_run_id))

    def on_chain_start(
        self, serialized: Any, inputs: Any, *, run_id: Any, parent_run_id: Any = None, **kw: Any
    ) -> None:
        self.runs.append((kw["name"], run_id, parent_run_id))

    def on_retriever_end(self, documents: Any, **kw: Any) -> None:
        self.n_ended += 1

    def on_chain_end(self, outputs: Any, **kw: Any) -> None:
        self.n_ended += 1


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
async def test_both_stages_are_children_in_a_trace(models: dict[str, Any], is_async: bool) -> None:
    two = TwoStageRetriever.from_documents(TEXTS, retriever="bm25", reranker=models["reranker"])
    seen = Recorder()
    config: Any = {"callbacks": [seen]}
    _ = await two.ainvoke(QUERY, config) if is_async else two.invoke(QUERY, config)
    assert [name for name, _, _ in seen.runs] == ["TwoStageRetriever", "FirstStageRetriever", "RerankCompressor"]
    root = seen.runs[0][1]
    assert [parent for _, _, parent in seen.runs] == [None, root, root]
    assert seen.n_ended == 3


def test_options_of_a_given_compressor_are_kept(models: dict[str, Any]) -> None:
    first = FirstStageRetriever.from_documents(TEXTS, embedder=models["embedder"])
    given = RerankCompressor.from_reranker(models["reranker"], top_n=1, score_unit="probability")
    two = TwoStageRetriever(first_stage=first, reranker=given)
    (one,) = two.invoke(QUERY)
    assert one.metadata["relevance_score"] == one.metadata["relevance_probability"]
    assert len(two.invoke(QUERY, None, top_n=3)) == 3
    assert given.top_n == 1
    everything = TwoStageRetriever.from_documents(TEXTS, embedder=models["embedder"], reranker=given, top_n=None)
    assert len(everything.invoke(QUERY)) == 4


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"top_n": 0}, "top_n"),
        ({"top_k": 0}, "top_k"),
        ({"threshold": 0.5, "reranker": None}, "there is no reranker"),
        ({"documents": "one text"}, "put a single one into a list"),
        ({"documents": [3]}, "must be a Document"),
        ({"retriever": "magic"}, "retriever must be one of"),
    ],
)
def test_what_cannot_work_is_an_error(models: dict[str, Any], options: dict[str, Any], match: str) -> None:
    options = {"documents": TEXTS, "retriever": "bm25", "reranker": models["reranker"], **options}
    with pytest.raises(ValueError, match=match):
        TwoStageRetriever.from_documents(options.pop("documents"), **options)
    with pytest.raises(ValidationError, match="top_m"):
        FirstStageRetriever(top_m=3)
    with pytest.raises(InvalidInputError, match="from_documents"):
        FirstStageRetriever(top_k=3).invoke(QUERY)


@pytest.mark.parametrize("query", ["", "  "])
async def test_a_blank_query_is_an_error(models: dict[str, Any], query: str) -> None:
    two = TwoStageRetriever.from_documents(TEXTS, retriever="bm25", reranker=models["reranker"])
    with pytest.raises(InvalidInputError, match="blank"):
        two.invoke(query)
    with pytest.raises(InvalidInputError, match="blank"):
        await two.ainvoke(query)


def test_what_is_no_query_is_told_by_its_type(models: dict[str, Any]) -> None:
    two = TwoStageRetriever.from_documents(TEXTS, retriever="bm25", reranker=models["reranker"])
    for query in (None, 3, {"query": QUERY}, [Document("a text of a user")]):
        with pytest.raises(InvalidInputError, match=f"not blank, got {type(query).__name__}"):
            two.invoke(query)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="not blank, got list"):
        (two | two).invoke(QUERY)


def test_a_block_counts_also_where_it_names_the_rerankers_own_limit(models: dict[str, Any]) -> None:
    two = TwoStageRetriever.from_documents(TEXTS * 2, **models, top_n=2)
    assert two.reranker is not None
    assert two.reranker.top_n == 5
    with two.reranker.using(top_n=5):
        assert len(two.invoke(QUERY)) == 5
        assert len(two.invoke(QUERY, k=3)) == 3
        with two.reranker.using(score_unit="probability"):
            assert len(two.invoke(QUERY)) == 5
    with two.reranker.using(score_unit="probability"):
        assert len(two.invoke(QUERY)) == 2
    assert len(two.invoke(QUERY)) == 2


@pytest.mark.parametrize("is_reranked", [False, True], ids=["first stage", "two stages"])
def test_what_is_indexed_is_nobody_elses(models: dict[str, Any], is_reranked: bool) -> None:
    given = [Document(page_content=text, metadata={"tags": ["a"], "source": {"page": 1}}) for text in TEXTS]
    owner = TwoStageRetriever if is_reranked else FirstStageRetriever
    retriever = owner.from_documents(given, **(models if is_reranked else {"embedder": models["embedder"]}))
    for found in retriever.invoke(QUERY):
        found.metadata["tags"].append("of the caller")
        found.metadata["source"]["page"] = 2
    assert all(one.metadata == {"tags": ["a"], "source": {"page": 1}} for one in given)
    given[0].metadata["tags"].append("later")
    assert all(one.metadata["tags"] == ["a"] for one in retriever.invoke(QUERY))
    assert all(one.metadata["source"] == {"page": 1} for one in retriever.invoke(QUERY))


@pytest.mark.parametrize(("found", "match"), [(["a text"], r"\[0\] must be a Document.*got str"), (None, "NoneType")])
async def test_a_first_stage_that_finds_no_documents_is_told(models: dict[str, Any], found: Any, match: str) -> None:
    two = TwoStageRetriever(first_stage=RunnableLambda(lambda _: found), reranker=models["reranker"])
    with pytest.raises(InvalidInputError, match=match):
        two.invoke(QUERY)
    with pytest.raises(InvalidInputError, match=match):
        await two.ainvoke(QUERY)
