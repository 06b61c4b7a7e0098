from __future__ import annotations

from typing import cast

import pytest

from rerank_plugins.errors import InvalidInputError
from rerank_plugins.evaluation import BM25Index, Dataset, Document, rerank_run, retrieve
from rerank_plugins.reranker import Reranker
from rerank_plugins.types import RankedDocument

DOCUMENTS = {
    "cats": Document("cats purr and sleep", title="Cats"),
    "dogs": Document("dogs bark and run"),
    "zh": Document("检索增强生成 RAG"),
    "blank": Document(""),
}


class LengthReranker:
    """Prefers short documents; stands in for a model."""

    def rank(self, query: str, documents: list[str]) -> list[RankedDocument]:
        order = sorted(range(len(documents)), key=lambda i: len(documents[i]))
        return [
            RankedDocument(index=i, score=-float(len(documents[i])), probability=0.5, rank=r, document=documents[i])
            for r, i in enumerate(order, start=1)
        ]


def test_retrieve_and_rerank_time_each_query() -> None:
    dataset = Dataset(name="t", documents=DOCUMENTS, queries={"q": "and sleep run"}, qrels={"q": {"dogs": 1}})
    told: list[int] = []
    found = retrieve(BM25Index(dataset.texts), dataset.queries, top_k=5, advance=told.append)
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
