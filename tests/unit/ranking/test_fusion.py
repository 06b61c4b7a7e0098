from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rerank_plugins.errors import InvalidInputError
from rerank_plugins.ranking.fusion import reciprocal_rank_fusion, weighted_fusion


def test_reciprocal_ranks_by_hand() -> None:
    fused = reciprocal_rank_fusion([{"a": 9.0, "b": 8.0}, {"b": 0.1, "c": 0.05}])
    assert fused == pytest.approx({"b": 1 / 62 + 1 / 61, "a": 1 / 61, "c": 1 / 62})
    assert list(fused) == ["b", "a", "c"]
    weighted = reciprocal_rank_fusion([{"a": 9.0, "b": 8.0}, {"b": 0.1, "c": 0.05}], k=0, weights=[3, 1])
    assert weighted == pytest.approx({"a": 3.0, "b": 2.5, "c": 0.5})


@given(st.lists(st.integers(1, 30), min_size=3, max_size=5), st.integers(0, 60), st.randoms())
def test_the_same_ranks_in_another_order_are_a_tie(ranks: list[int], k: int, random: Random) -> None:
    def fused(places: list[int]) -> float:
        rankings = [{**{str(n): 0.0 for n in range(1, place)}, "wanted": 0.0} for place in places]
        return reciprocal_rank_fusion(rankings, k=k)["wanted"]

    assert fused(ranks) == fused(random.sample(ranks, len(ranks)))


def test_weighted_scores_by_hand() -> None:
    fused = weighted_fusion([{"a": 30.0, "b": 20.0, "c": 10.0}, {"c": 0.9, "a": 0.8}], weights=[0.4, 0.6])
    assert fused == pytest.approx({"a": 0.4, "b": 0.2, "c": 0.6})
    assert list(fused) == ["c", "a", "b"]
    assert weighted_fusion([{"a": 5.0, "b": 5.0}, {}]) == {"a": 0.5, "b": 0.5}
    assert weighted_fusion([]) == reciprocal_rank_fusion([]) == {}


@pytest.mark.parametrize("fuse", [reciprocal_rank_fusion, weighted_fusion])
@pytest.mark.parametrize("weights", [[1.0], [0.0, 0.0], [-1.0, 2.0], [float("nan"), 1.0], ["a", "b"], 5])
def test_weights_that_cannot_be(fuse: object, weights: list[float]) -> None:
    with pytest.raises(InvalidInputError, match="weights"):
        fuse([{"a": 1.0}, {"b": 1.0}], weights=weights)


@pytest.mark.parametrize("score", [float("nan"), float("inf")])
def test_scores_that_cannot_be_scaled(score: float) -> None:
    with pytest.raises(InvalidInputError, match="finite"):
        weighted_fusion([{"a": score, "b": 1.0}])


@pytest.mark.parametrize("k", [-1, 1.5, True])
def test_k_that_cannot_be(k: object) -> None:
    with pytest.raises(InvalidInputError, match="k must"):
        reciprocal_rank_fusion([{"a": 1.0}], k=k)


RANKINGS = st.lists(
    st.dictionaries(st.sampled_from("abcdef"), st.floats(-1e6, 1e6), max_size=6).map(
        lambda one: dict(sorted(one.items(), key=lambda item: -item[1]))
    ),
    min_size=1,
    max_size=4,
)


@given(RANKINGS)
def test_fusions_keep_every_document_once_best_first(rankings: list[dict[str, float]]) -> None:
    for fused in (reciprocal_rank_fusion(rankings), weighted_fusion(rankings)):
        assert set(fused) == {key for ranking in rankings for key in ranking}
        assert list(fused.values()) == sorted(fused.values(), reverse=True)
        assert all(0.0 <= score <= len(rankings) for score in fused.values())


@given(RANKINGS)
def test_one_ranking_stays_as_it_is(rankings: list[dict[str, float]]) -> None:
    ranking = rankings[0]
    assert list(reciprocal_rank_fusion([ranking])) == list(ranking)
    assert list(reciprocal_rank_fusion([ranking, ranking])) == list(ranking)
