"""Results without scores in their metadata, for what knows documents by all that they hold."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny_checkpoints
from langchain_classic.retrievers import ContextualCompressionRetriever, EnsembleRetriever, MultiQueryRetriever
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableLambda
from langchain_rerank_plugins import FirstStageRetriever, RerankCompressor, SentenceRetriever, TwoStageRetriever

DOCUMENTS = [
    Document("Paris is the capital of France.", metadata={"page": 1}, id="a"),
    Document("Berlin lies on the Spree.", metadata={"page": 2, "tags": ["city"]}, id="b"),
    Document("Bread is baked in an oven.", id="c"),
]
QUERIES = ["capital of France", "Where is Berlin?", "How is bread baked?"]


@pytest.fixture
def plain(langchain_models: dict[str, str]) -> RerankCompressor:
    return RerankCompressor(model=langchain_models["bert-reranker"], device="cpu", top_n=3, keep_scores=False)


@pytest.fixture
def first() -> FirstStageRetriever:
    return FirstStageRetriever.from_documents(DOCUMENTS, embedder="mini", keep_scores=False)


Made = Callable[[RerankCompressor, FirstStageRetriever], BaseRetriever]
RETRIEVERS: dict[str, Made] = {
    "first stage": lambda _, first: first,
    "first stage alone": lambda _, first: TwoStageRetriever(first_stage=first),
    "compression": lambda plain, first: ContextualCompressionRetriever(base_compressor=plain, base_retriever=first),
    "two stages": lambda plain, _: TwoStageRetriever.from_documents(DOCUMENTS, embedder="mini", reranker=plain),
    "two stages, put together": lambda plain, first: TwoStageRetriever(
        first_stage=FirstStageRetriever(corpus=first.corpus), reranker=plain
    ),
    "bm25": lambda plain, _: TwoStageRetriever.from_documents(
        [*DOCUMENTS, "capital Berlin bread Where is of How France baked"], retriever="bm25", reranker=plain
    ),
}


def expected(documents: list[Document]) -> list[tuple[str, dict[str, Any]]]:
    return sorted(((one.page_content, one.metadata) for one in documents), key=str)


@pytest.mark.parametrize("name", RETRIEVERS)
def test_several_queries_find_each_document_once(
    name: str, plain: RerankCompressor, first: FirstStageRetriever
) -> None:
    retriever = RETRIEVERS[name](plain, first)
    several = MultiQueryRetriever(retriever=retriever, llm_chain=RunnableLambda(lambda _: QUERIES))
    found = several.invoke("anything")
    assert expected([one for one in found if one.id]) == expected(DOCUMENTS)
    assert found == asyncio.run(several.ainvoke("anything"))
    reranked = TwoStageRetriever(first_stage=several, reranker=plain.with_settings(keep_scores=True)).invoke(QUERIES[0])
    assert sorted(one.metadata["rerank_rank"] for one in reranked) == [1, 2, 3]


def test_the_order_is_that_of_the_scores_which_are_not_kept(plain: RerankCompressor) -> None:
    with plain.using(keep_scores=True):
        scored = plain.compress_documents(DOCUMENTS, QUERIES[0])
    assert [one.metadata["rerank_rank"] for one in scored] == [1, 2, 3]
    found = plain.compress_documents(DOCUMENTS, QUERIES[0])
    assert [one.id for one in found] == [one.id for one in scored]
    assert found == [next(one for one in DOCUMENTS if one.id == each.id) for each in found]
    assert found == asyncio.run(plain.acompress_documents(DOCUMENTS, QUERIES[0]))
    found[0].metadata["new"] = 1
    next(one for one in found if one.id == "b").metadata["tags"].append("new")
    assert DOCUMENTS[1].metadata == {"page": 2, "tags": ["city"]}


def test_what_an_earlier_reranking_wrote_of_itself_does_not_stay(plain: RerankCompressor) -> None:
    came = Document("Paris", metadata={"relevance_score": 0.5, "page": 1})
    scored = plain.with_settings(keep_scores=True).compress_documents([came], "Paris")
    (again,) = plain.compress_documents(scored, "Paris")
    assert again.metadata == {"retrieval_score": 0.5, "page": 1}
    assert plain.compress_documents([came], "Paris") == [came]


def test_two_rerankings_of_two_queries_give_equal_copies(plain: RerankCompressor) -> None:
    scoring = plain.with_settings(keep_scores=True)
    found = [plain.compress_documents(scoring.compress_documents(DOCUMENTS, query), query) for query in QUERIES]
    for results in found:
        assert sorted(results, key=lambda one: str(one.id)) == DOCUMENTS


def test_a_call_that_is_not_in_time_is_still_marked(plain: RerankCompressor) -> None:
    late = plain.with_settings(deadline_s=1e-9)
    assert [one.metadata.get("rerank_fallback") for one in late.compress_documents(DOCUMENTS, "x")] == ["deadline"] * 3


def test_folders_keep_it(plain: RerankCompressor, first: FirstStageRetriever, tmp_path: Path) -> None:
    assert FirstStageRetriever.load(first.save(tmp_path / "first")).invoke(QUERIES[0]) == first.invoke(QUERIES[0])
    two = TwoStageRetriever(first_stage=first, reranker=plain)
    again = TwoStageRetriever.load(two.save(tmp_path / "two"))
    assert again.invoke(QUERIES[0]) == two.invoke(QUERIES[0])
    assert isinstance(again.first_stage, FirstStageRetriever)
    assert not again.first_stage.keep_scores


def test_sentences_without_scores(tmp_path: Path) -> None:
    folder = tiny_checkpoints.bert_embedder(tmp_path / "model", pooling="mean")
    long = Document("Paris is a capital. It lies on the Seine. Bread is baked in an oven.", metadata={"page": 3})
    retriever = SentenceRetriever.from_documents([long], embedder=folder, top_k=3, before=0, after=0, keep_scores=False)
    (found,) = retriever.invoke("Seine")
    assert found.metadata.keys() == {"page", "start_index", "end_index"}
    several = MultiQueryRetriever(retriever=retriever, llm_chain=RunnableLambda(lambda _: QUERIES))
    assert several.invoke("anything") == [found]
    assert SentenceRetriever.load(retriever.save(tmp_path / "kept")).invoke("Seine") == [found]


def test_retrievers_that_know_documents_by_their_text_take_any() -> None:
    first = FirstStageRetriever.from_documents(DOCUMENTS, embedder="mini")
    ensemble = EnsembleRetriever(retrievers=[first, first], weights=[0.5, 0.5])
    assert len(ensemble.invoke("capital")) == 3
