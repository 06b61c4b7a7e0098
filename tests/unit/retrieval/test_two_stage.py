from __future__ import annotations

from pathlib import Path

import pytest
import tiny_checkpoints
from letters import LengthReranker, LetterEmbedder

import rerank_plugins
from rerank_plugins import Reranker
from rerank_plugins.engine.registry import MODELS
from rerank_plugins.errors import EngineClosedError, InvalidInputError, RerankPluginsError
from rerank_plugins.retrieval import BM25Index, RetrievedDocument, TwoStageRetriever

TEXTS = {"a": "cats and dogs and cats", "b": "cats", "c": "dogs sit", "d": "birds"}


def test_it_is_public() -> None:
    assert rerank_plugins.TwoStageRetriever is TwoStageRetriever


def test_both_stages_are_in_the_results() -> None:
    retriever = TwoStageRetriever(BM25Index(TEXTS), TEXTS, reranker=LengthReranker(), top_k=2, top_n=None)
    first = BM25Index(TEXTS).search("cats", top_k=2)
    assert list(first) == ["a", "b"] or list(first) == ["b", "a"]
    results = retriever.search("cats")
    assert [one.id for one in results] == ["b", "a"]
    best = results[0]
    assert best == RetrievedDocument(
        id="b",
        text="cats",
        rank=1,
        retrieval_rank=list(first).index("b") + 1,
        retrieval_score=first["b"],
        rerank_score=-4.0,
        probability=0.2,
    )


class FixedStage:
    """Finds the same documents for every query."""

    def search(self, query: str, *, top_k: int) -> dict[str, float]:
        return dict(list({"d": 3.0, "b": 2.0, "c": 1.0}.items())[:top_k])

    async def asearch(self, query: str, *, top_k: int) -> dict[str, float]:
        return self.search(query, top_k=top_k)


async def test_a_result_keeps_its_rank_and_score_of_the_first_stage() -> None:
    retriever = TwoStageRetriever(FixedStage(), TEXTS, reranker=LengthReranker(), top_k=3, top_n=2)
    # By length "cats" comes before "birds", which the first stage put first.
    expected = [("b", 1, 2, 2.0), ("d", 2, 1, 3.0)]
    for results in (retriever.search("anything"), await retriever.asearch("anything")):
        assert [(one.id, one.rank, one.retrieval_rank, one.retrieval_score) for one in results] == expected


def test_without_a_reranker_the_first_stage_stands() -> None:
    retriever = TwoStageRetriever.from_documents(TEXTS, retriever="bm25", reranker=None, top_k=9, top_n=1)
    (one,) = retriever.search("birds")
    assert (one.id, one.rank, one.retrieval_rank, one.rerank_score, one.probability) == ("d", 1, 1, None, None)
    assert retriever.reranker is None
    assert retriever.top_k == 9


@pytest.mark.parametrize("retriever", ["bm25", "dense", "hybrid"])
async def test_async_gives_the_same(retriever: str) -> None:
    two = TwoStageRetriever.from_documents(
        list(TEXTS.values()), retriever=retriever, embedder=LetterEmbedder(), reranker=LengthReranker(), top_n=2
    )
    assert await two.asearch("cats and dogs") == two.search("cats and dogs")
    assert {one.id for one in two.search("cats and dogs")} <= {"0", "1", "2", "3"}


def test_threshold_and_top_n() -> None:
    options = {"retriever": "bm25", "reranker": LengthReranker(), "top_k": 4}
    kept = TwoStageRetriever.from_documents(TEXTS, **options, top_n=None, threshold=0.1).search("cats dogs")
    assert [one.id for one in kept] == ["b", "c"]
    raw = TwoStageRetriever.from_documents(TEXTS, **options, top_n=1, threshold=-8.0, threshold_unit="raw")
    assert [one.id for one in raw.search("cats dogs")] == ["b"]
    assert raw.search("unheard") == []


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"top_k": 0}, "top_k"),
        ({"top_n": 0}, "top_n"),
        ({"threshold": 2.0, "reranker": LengthReranker()}, "probability"),
        ({"threshold": 0.5, "reranker": None}, "there is no reranker"),
        ({"reranker": 5}, "reranker must be"),
        ({"retriever": "magic"}, "retriever must be one of"),
        ({"documents": "one text"}, "put a single text into a list"),
        ({"documents": [None]}, "must be a string"),
    ],
)
def test_what_cannot_work_is_an_error(options: dict[str, object], match: str) -> None:
    options = {"documents": TEXTS, "retriever": "bm25", "reranker": None, **options}
    with pytest.raises(InvalidInputError, match=match):
        TwoStageRetriever.from_documents(options.pop("documents"), **options)


@pytest.mark.parametrize("reranker", [None, LengthReranker()])
async def test_what_cannot_be_searched(reranker: LengthReranker | None) -> None:
    foreign = TwoStageRetriever(BM25Index({"x": "cats"}), TEXTS, reranker=reranker)
    with pytest.raises(InvalidInputError, match="'x', which texts does not have"):
        foreign.search("cats")
    for query in ("", "  "):
        with pytest.raises(InvalidInputError, match="blank"):
            foreign.search(query)
        with pytest.raises(InvalidInputError, match="blank"):
            await foreign.asearch(query)
    with pytest.raises(InvalidInputError, match="query must be a string"):
        foreign.search(None)


def test_the_mini_models_end_to_end() -> None:
    pytest.importorskip("rerank_plugins_mini")
    documents = ["Berlin is in Germany.", "Paris is the capital of France.", "Pandas eat bamboo."]
    retriever = TwoStageRetriever.from_documents(documents, embedder="mini", reranker="mini", top_k=3, top_n=1)
    (best,) = retriever.search("capital of France")
    assert (best.id, best.text) == ("1", documents[1])
    assert best.probability == pytest.approx(retriever.reranker.rank("capital of France", documents)[0].probability)


def test_closing_gives_back_only_what_it_opened() -> None:
    pytest.importorskip("rerank_plugins_mini")
    with Reranker("mini") as mine:
        with TwoStageRetriever.from_documents(["a b", "c"], embedder="mini", reranker=mine) as retriever:
            assert retriever.search("a")
        retriever.close()
        with pytest.raises(EngineClosedError):
            retriever.search("a")
        assert mine.score([("a", "b")])
    with TwoStageRetriever.from_documents(["a b", "c"], retriever="bm25", reranker="mini") as named:
        assert named.search("a")
    with pytest.raises(EngineClosedError):
        named.search("a")


@pytest.mark.parametrize(
    "options", [{"threshold": 2.0}, {"threshold": 0.5, "reranker": None}, {"reranker": "acme-none:large"}]
)
def test_nothing_is_embedded_for_a_retriever_that_cannot_be(options: dict[str, object]) -> None:
    embedder = LetterEmbedder()
    made = {"retriever": "dense", "embedder": embedder, "faiss_index": None, "reranker": LengthReranker(), **options}
    with pytest.raises(RerankPluginsError):
        TwoStageRetriever.from_documents(TEXTS, **made)  # type: ignore[arg-type]
    assert embedder.n_embedded == 0


def test_models_that_were_opened_for_a_retriever_that_cannot_be_are_closed(tmp_path: Path) -> None:
    folder = tiny_checkpoints.bert_embedder(tmp_path / "embedder")
    before = MODELS.loaded()
    with pytest.raises(InvalidInputError, match="FAISS cannot make"):
        TwoStageRetriever.from_documents(
            TEXTS, retriever="dense", embedder=folder, reranker="bm25", faiss_index="No such index"
        )
    assert not [one for one in MODELS.loaded() if not any(one is other for other in before)]
