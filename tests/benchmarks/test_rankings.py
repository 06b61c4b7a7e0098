"""Candidates of a set: its own, else BM25's; and what a ranking of them measures."""

from __future__ import annotations

import pytest

from benchmarks.rankings import Candidates, ndcg_of
from rerank_plugins import Reranker
from rerank_plugins.evaluation import Dataset, Document

TEXTS = {"a": "pandas eat bamboo", "b": "pandas sleep", "c": "passports are renewed", "d": "bamboo"}


@pytest.fixture
def candidates() -> Candidates:
    data = Dataset(
        name="pandas",
        documents={key: Document(title="", text=text) for key, text in TEXTS.items()},
        queries={"1": "pandas eat", "2": "passports", "3": "nothing has these words"},
        qrels={"1": {"a": 1}, "2": {"c": 1}},
        candidates={"2": ["d", "c"]},
    )
    return Candidates.of(data, top_k=2)


def test_candidates_are_the_sets_own_or_bm25s(candidates: Candidates) -> None:
    assert candidates.found == {"1": ["a", "b"], "2": ["d", "c"]}


def test_every_candidate_gets_the_score_of_its_own_pair(candidates: Candidates) -> None:
    with Reranker("mini", device="cpu") as reranker:
        run = candidates.ranked(reranker)
        alone = reranker.score([("passports", "passports are renewed")])[0]
    assert {key: list(scores) for key, scores in run.items()} == candidates.found
    assert run["2"]["c"] == pytest.approx(alone, abs=1e-5)
    assert ndcg_of(candidates.measured(run)) == {"1": 1.0, "2": 1.0}
