from __future__ import annotations

import sys
from typing import cast

import numpy as np
import pytest

from rerank_plugins.embedder import Embedder
from rerank_plugins.errors import InvalidInputError, MissingExtraError
from rerank_plugins.evaluation import BM25Index, Dataset, DenseIndex, Document, rerank_run, retrieve
from rerank_plugins.evaluation.first_stage import words
from rerank_plugins.reranker import Reranker
from rerank_plugins.types import RankedDocument

DOCUMENTS = {
    "cats": Document("cats purr and sleep", title="Cats"),
    "dogs": Document("dogs bark and run"),
    "zh": Document("检索增强生成 RAG"),
    "blank": Document(""),
}


class LetterEmbedder:
    """Counts letters; stands in for a model."""

    def embed_documents(self, texts: list[str]) -> np.ndarray:
        return np.array([[text.count(letter) for letter in "acdgst"] for text in texts], dtype=np.float32)

    embed_queries = embed_documents


class LengthReranker:
    """Prefers short documents; stands in for a model."""

    def rank(self, query: str, documents: list[str]) -> list[RankedDocument]:
        order = sorted(range(len(documents)), key=lambda i: len(documents[i]))
        return [
            RankedDocument(index=i, score=-float(len(documents[i])), probability=0.5, rank=r, document=documents[i])
            for r, i in enumerate(order, start=1)
        ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("What's NEW, in 2024?", ["what", "s", "new", "in", "2024"]),
        ("ＲＡＧ 检索", ["rag", "检", "索", "检索"]),
        ("用BGE模型", ["用", "bge", "模", "型", "模型"]),
        ("カタカナ", ["カ", "タ", "カ", "ナ", "カタ", "タカ", "カナ"]),
        ("한국어", ["한", "국", "어", "한국", "국어"]),
        ("Straße", ["strasse"]),
        (" \n.", []),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert words(text) == expected


def test_bm25_finds_words_of_both_scripts() -> None:
    index = BM25Index(DOCUMENTS)
    assert list(index.search("Do CATS bark?", top_k=3)) == ["cats", "dogs"]
    assert list(index.search("增强检索", top_k=3)) == ["zh"]
    assert len(index.search("cats dogs and rag", top_k=2)) == 2


def test_bm25_agrees_with_the_formula() -> None:
    # Lucene's BM25: idf * tf / (tf + k1 * (1 - b + b * length / mean length)).
    index = BM25Index({"a": Document("x x y"), "b": Document("y")}, k1=1.2, b=0.75)
    idf = np.log(1 + (2 - 1 + 0.5) / (1 + 0.5))
    expected = idf * 2 / (2 + 1.2 * (1 - 0.75 + 0.75 * 3 / 2))
    assert index.search("x", top_k=9) == {"a": pytest.approx(expected, rel=1e-6)}


@pytest.mark.parametrize("query", ["", "!?", "unheard"])
def test_bm25_without_a_shared_term_finds_nothing(query: str) -> None:
    assert BM25Index(DOCUMENTS).search(query, top_k=3) == {}


@pytest.mark.parametrize("documents", [{}, {"a": Document("")}])
def test_bm25_over_an_empty_corpus(documents: dict[str, Document]) -> None:
    assert BM25Index(documents).search("cats", top_k=3) == {}


def test_dense_ranks_by_cosine_whatever_the_batch() -> None:
    embedder = cast("Embedder", LetterEmbedder())
    told: list[int] = []
    one = DenseIndex(DOCUMENTS, embedder, batch_size=1).search("cats", top_k=2)
    all_ = DenseIndex(DOCUMENTS, embedder, batch_size=3, advance=told.append).search("cats", top_k=2)
    assert one == pytest.approx(all_)
    assert next(iter(one)) == "cats"
    assert told == [3, 1]
    assert DenseIndex({}, embedder).search("cats", top_k=2) == {}


def test_retrieve_and_rerank_time_each_query() -> None:
    dataset = Dataset(name="t", documents=DOCUMENTS, queries={"q": "and sleep run"}, qrels={"q": {"dogs": 1}})
    told: list[int] = []
    found = retrieve(BM25Index(DOCUMENTS), dataset.queries, top_k=5, advance=told.append)
    assert set(found.run["q"]) == {"cats", "dogs"}
    reranked = rerank_run(found.run, dataset, cast("Reranker", LengthReranker()), top_k=5, advance=told.append)
    assert reranked.run == {"q": {"dogs": -17.0, "cats": -24.0}}
    assert told == [1, 1]
    assert found.latencies_ms["q"] > 0.0
    assert reranked.mean_ms > 0.0


def test_rerank_stops_at_top_k() -> None:
    dataset = Dataset(name="t", documents=DOCUMENTS, queries={"q": "x"}, qrels={})
    run = {"q": {"dogs": 1.0, "cats": 2.0, "zh": 3.0}}
    assert set(rerank_run(run, dataset, cast("Reranker", LengthReranker()), top_k=2).run["q"]) == {"zh", "cats"}


@pytest.mark.parametrize("run", [{"q": {"nowhere": 1.0}}, {"nobody": {"cats": 1.0}}])
def test_rerank_with_the_wrong_dataset(run: dict[str, dict[str, float]]) -> None:
    dataset = Dataset(name="t", documents=DOCUMENTS, queries={"q": "x"}, qrels={})
    with pytest.raises(InvalidInputError, match="does not have"):
        rerank_run(run, dataset, cast("Reranker", LengthReranker()), top_k=2)


def test_missing_extra_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bm25s", None)
    with pytest.raises(MissingExtraError, match=r"pip install rerank-plugins\[evaluation\]"):
        BM25Index(DOCUMENTS)
