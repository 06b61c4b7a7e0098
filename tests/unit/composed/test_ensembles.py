"""Ensembles: each fusion by hand, and what they refuse."""

from __future__ import annotations

import asyncio
import math
import pickle
import random
from typing import Any

import pytest
from lengths import Numbers

from rerank_plugins import Ensemble, InvalidInputError, ScoreCache, ScoringError
from rerank_plugins.ranking.fusion import reciprocal_rank_fusion

DOCUMENTS = ["1 5", "2 9", "3 1", "2 2"]
PAIRS = [("q", one) for one in DOCUMENTS]


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def test_rrf_is_that_of_the_literature_scaled_by_its_best() -> None:
    documents = ["1 5", "2 9", "3 1", "2.5 2"]
    ensemble = Ensemble([(Numbers(0), 1.0), (Numbers(1), 0.5)], k=10)
    runs = [{"2": 3, "3": 2.5, "1": 2, "0": 1}, {"1": 9, "0": 5, "3": 2, "2": 1}]
    expected = reciprocal_rank_fusion(runs, k=10, weights=[1.0, 0.5])
    scores = ensemble.score([("q", one) for one in documents])
    assert scores == pytest.approx([expected[str(place)] * 11 / 1.5 for place in range(4)])
    assert Ensemble([Numbers(0), Numbers(0)]).score(PAIRS)[2] == 1.0
    assert ensemble.spec.score_scope == "call"


def test_equal_scores_share_a_rank() -> None:
    scores = Ensemble([Numbers(0), Numbers(0)]).score(PAIRS)
    assert scores[1] == scores[3]


def test_probabilities_are_averaged_and_log_odds_summed() -> None:
    pool = Ensemble([(Numbers(0), 3.0), (Numbers(1), 1.0)], fusion="probability")
    assert pool.score(PAIRS) == pytest.approx(
        [(3 * sigmoid(a) + sigmoid(b)) / 4 for a, b in [(1, 5), (2, 9), (3, 1), (2, 2)]]
    )
    logit = Ensemble([(Numbers(0), 3.0), (Numbers(1), 0.5)], fusion="logit", bias=-1.0)
    assert logit.score(PAIRS) == pytest.approx([4.5, 9.5, 8.5, 6.0])
    # Neither depends on what else is in the call, so both are cached, and scored one by one.
    assert pool.spec.score_scope == "model"
    assert logit.score(PAIRS[:1]) == [4.5]
    assert asyncio.run(logit.arank("q", DOCUMENTS)) == logit.rank("q", DOCUMENTS)


@pytest.mark.parametrize("fusion", ["probability", "logit"])
def test_a_score_is_the_same_alone_and_in_a_list(fusion: Any) -> None:
    numbers = random.Random(0)
    documents = [" ".join(str(numbers.gauss(0, 3)) for _ in range(5)) for _ in range(67)]
    members = [(Numbers(place), weight) for place, weight in enumerate([0.3, 0.7, 0.11, 0.05, 1.3])]
    ensemble = Ensemble(members, fusion=fusion)
    together = ensemble.score([("q", one) for one in documents])
    assert [ensemble.score([("q", one)])[0] for one in documents] == together


def test_the_same_ranks_by_other_members_are_a_tie() -> None:
    # The first and the second document are at the places 1, 2 and 7 of the members, in another order.
    fillers = [f"{-3 - n} {-3 - n} {-3 - n}" for n in range(4)]
    documents = ["0 -1 -9", "-1 -9 0", "-9 0 -1", *fillers]
    scores = Ensemble([Numbers(0), Numbers(1), Numbers(2)]).score([("q", one) for one in documents])
    assert scores[0] == scores[1] == scores[2]


def test_every_member_is_told_for_every_document() -> None:
    ranking = Ensemble([Numbers(0), Numbers(1)], fusion="logit").rank("q", DOCUMENTS)
    assert [(one.name, one.score) for one in ranking[0].stages] == [("tests/place-0", 2.0), ("tests/place-1", 9.0)]
    assert [one.documents for one in ranking.usage.stages] == [4, 4]  # type: ignore[union-attr]


def test_a_listwise_member_makes_it_listwise() -> None:
    ensemble = Ensemble([Numbers(0, score_scope="call"), Numbers(1)], fusion="logit")
    assert ensemble.spec.score_scope == "call"
    with pytest.raises(InvalidInputError, match="its score depends"):
        next(iter(ensemble.score_stream(PAIRS)))


def test_a_member_that_fails_is_the_calls_error() -> None:
    with pytest.raises(ScoringError, match="broken"):
        Ensemble([Numbers(0), Numbers(1, error=ValueError("broken"))]).rank("q", DOCUMENTS)


@pytest.mark.parametrize(
    ("members", "how", "said"),
    [
        ([], {}, "members is empty"),
        (["mini"], {}, "needs two members"),
        ([(Numbers(0), 0.0), (Numbers(1), 0.0)], {}, "weight above 0"),
        ([(Numbers(0), -1.0), Numbers(1)], {}, "weight"),
        ([(Numbers(0), 1e308), (Numbers(1), 1e308)], {}, "weight must be a number from 0 to"),
        ([(Numbers(0), 5e-324), (Numbers(1), 0.0)], {}, "weight above 0"),
        ([Numbers(0), Numbers(1)], {"fusion": "mean"}, "fusion"),
        ([Numbers(0), Numbers(1)], {"k": -1}, "k"),
        ([Numbers(0), Numbers(1)], {"bias": 1.0}, "bias=1.0 is for fusion='logit'"),
        ([Numbers(0), Numbers(1)], {"fusion": "logit", "k": 3}, "k=3 is for fusion='rrf'"),
        ([Numbers(0), Numbers(1)], {"fusion": "logit", "bias": math.inf}, "bias"),
    ],
)
def test_what_cannot_work_is_told(members: Any, how: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        Ensemble(members, **how)


def test_it_can_be_pickled() -> None:
    with Ensemble([("mini", 0.3), "mini"], fusion="logit", bias=0.5) as made, pickle.loads(pickle.dumps(made)) as again:
        assert type(again) is Ensemble
        assert again.members == made.members
        assert again.score(PAIRS) == made.score(PAIRS)


def test_a_cache_keeps_its_scores() -> None:
    from rerank_plugins import Reranker
    from rerank_plugins.composed.ensemble import EnsembleScorer

    first, cache = Numbers(0), ScoreCache()
    reranker = Reranker(backend=EnsembleScorer([first, Numbers(1)], fusion="logit"), cache=cache)
    assert reranker.score(PAIRS) == reranker.score(PAIRS)
    assert len(first.asked) == 1
