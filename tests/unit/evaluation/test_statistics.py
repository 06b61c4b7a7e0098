from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rerank_plugins.errors import InvalidInputError
from rerank_plugins.evaluation.statistics import bootstrap_estimate, compare_paired


def test_the_interval_is_that_of_the_normal_law_for_many_queries() -> None:
    values = np.random.default_rng(1).normal(0.5, 0.2, size=900)
    estimate = bootstrap_estimate(values.tolist(), n_resamples=4000)
    half = 1.96 * values.std(ddof=1) / 30
    assert estimate.value == pytest.approx(values.mean())
    assert estimate.low == pytest.approx(values.mean() - half, abs=half / 10)
    assert estimate.high == pytest.approx(values.mean() + half, abs=half / 10)


@pytest.mark.parametrize("n_queries", [2, 5, 100, 3000])
def test_the_interval_is_scipys(n_queries: int) -> None:
    stats = pytest.importorskip("scipy.stats")
    values = np.random.default_rng(n_queries).random(n_queries)
    options = {"n_resamples": 1000, "confidence_level": 0.95, "method": "percentile"}
    # The same draws in the same order; in parts, as ours are made with many queries.
    found = stats.bootstrap((values,), np.mean, batch=100, rng=np.random.default_rng(3), **options)
    estimate = bootstrap_estimate(values.tolist(), seed=3)
    assert (estimate.low, estimate.high) == pytest.approx(tuple(found.confidence_interval), abs=1e-12)


def test_intervals_are_seeded_and_widen_with_their_level() -> None:
    values = [0.0, 0.2, 1.0, 0.7, 0.3]
    one = bootstrap_estimate(values, seed=1)
    assert one == bootstrap_estimate(values, seed=1)
    assert one != bootstrap_estimate(values, seed=2)
    wide = bootstrap_estimate(values, seed=1, level=0.99)
    assert wide.low <= one.low <= one.value <= one.high <= wide.high


def test_one_query_has_no_interval() -> None:
    estimate = bootstrap_estimate([0.25])
    assert (estimate.value, estimate.low, estimate.high) == (0.25, None, None)


def test_the_p_value_is_that_of_all_sign_patterns() -> None:
    before, after = [0.1, 0.4, 0.5, 0.3, 0.9, 0.2, 0.6, 0.0], [0.3, 0.5, 0.45, 0.6, 0.95, 0.5, 0.6, 0.4]
    differences = np.subtract(after, before)
    sums = [abs(np.dot(signs, differences)) for signs in product((-1, 1), repeat=8)]
    exact = np.mean([one >= abs(differences.sum()) - 1e-12 for one in sums])
    comparison = compare_paired(after, before, n_permutations=200_000)
    assert comparison.difference == pytest.approx(differences.mean())
    assert comparison.p_value == pytest.approx(exact, abs=0.003)
    assert comparison == compare_paired(after, before, n_permutations=200_000)


def test_the_p_value_is_scipys() -> None:
    stats = pytest.importorskip("scipy.stats")
    before, after = np.round(np.random.default_rng(4).random((2, 12)), 1)
    # 2**12 patterns are fewer than its resamples, so scipy takes each once.
    exact = stats.permutation_test((after - before,), np.sum, permutation_type="samples", n_resamples=5_000)
    found = compare_paired(after.tolist(), before.tolist(), n_permutations=200_000)
    assert found.p_value == pytest.approx(exact.pvalue, abs=0.003)


def test_no_difference_and_the_least_p_value() -> None:
    assert compare_paired([0.5] * 9, [0.5] * 9).p_value == 1.0
    assert compare_paired([1.0] * 30, [0.0] * 30, n_permutations=999).p_value == pytest.approx(1 / 1000)


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=20))
def test_the_sides_can_be_swapped(pairs: list[tuple[float, float]]) -> None:
    one, other = ([pair[side] for pair in pairs] for side in (0, 1))
    there, back = (compare_paired(*sides, n_permutations=50) for sides in ((one, other), (other, one)))
    assert there.difference == pytest.approx(-back.difference)
    assert there.p_value == back.p_value
    assert 0.0 < there.p_value <= 1.0


@pytest.mark.parametrize("values", [[], [float("nan")], [float("inf")]])
def test_what_has_no_mean(values: list[float]) -> None:
    with pytest.raises(InvalidInputError, match="finite values"):
        bootstrap_estimate(values)
    with pytest.raises(InvalidInputError, match="finite values"):
        compare_paired(values, values)


def test_options_are_checked() -> None:
    with pytest.raises(InvalidInputError, match="level"):
        bootstrap_estimate([1.0], level=1.0)
    with pytest.raises(InvalidInputError, match="n_resamples"):
        bootstrap_estimate([1.0], n_resamples=0)
    with pytest.raises(InvalidInputError, match="same queries"):
        compare_paired([1.0], [1.0, 2.0])


@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=20).flatmap(
        lambda pairs: st.tuples(st.just(pairs), st.permutations(pairs))
    )
)
def test_the_order_of_the_queries_changes_nothing(
    both: tuple[list[tuple[float, float]], list[tuple[float, float]]],
) -> None:
    first, second = (compare_paired(*zip(*pairs, strict=True), n_permutations=50) for pairs in both)
    assert first == second


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
@pytest.mark.parametrize("is_baseline", [False, True])
def test_values_that_are_not_finite_are_an_error_on_either_side(wrong: float, *, is_baseline: bool) -> None:
    # NaN in the baseline was the least p-value of all.
    sides = ([0.5, 0.5], [wrong, 0.5]) if is_baseline else ([wrong, 0.5], [0.5, 0.5])
    with pytest.raises(InvalidInputError, match="2 of which 1 are finite"):
        compare_paired(*sides)
