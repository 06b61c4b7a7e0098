"""Uncertainty of a measure: bootstrap confidence intervals and a paired randomisation test."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from rerank_plugins.errors import InvalidInputError
from rerank_plugins.evaluation.results import Comparison, Estimate

__all__ = ["bootstrap_estimate", "compare_paired"]

_CHUNK = 1_000_000  # Random numbers held at a time, so that memory stays flat with many queries.


def bootstrap_estimate(
    values: Sequence[float], *, n_resamples: int = 1000, level: float = 0.95, seed: int = 0
) -> Estimate:
    """Return the mean with the percentile bootstrap's interval over queries.

    Queries are drawn with replacement (Efron 1979; Sakai, SIGIR 2006, for retrieval measures). With one query
    there is no interval.

    Args:
        values: One per query.
        n_resamples: How many samples are drawn.
        level: The interval's coverage.
        seed: Equal seeds give equal intervals.

    Raises:
        InvalidInputError: There is no value, or an option cannot work.
    """
    rows = _checked(values, n_resamples, name="n_resamples")
    if not 0.0 < level < 1.0:
        msg = f"level must be between 0 and 1, got {level!r}"
        raise InvalidInputError(msg)
    mean = float(rows.mean())
    if len(rows) == 1:
        return Estimate(mean)
    generator = np.random.default_rng(seed)
    samples = (generator.integers(0, len(rows), size=(n, len(rows))) for n in _chunks(n_resamples, len(rows)))
    means = np.concatenate([rows[sample].mean(axis=1) for sample in samples])
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(mean, float(low), float(high))


def compare_paired(
    values: Sequence[float], baseline: Sequence[float], *, n_permutations: int = 10_000, seed: int = 0
) -> Comparison:
    """Return the mean difference and the two-sided p-value of Fisher's paired randomisation test.

    Under the null hypothesis a query's two values may be swapped: the signs of the differences are drawn at
    random (Smucker, Allan and Carterette, CIKM 2007). The p-value is (1 + n) / (1 + permutations), where n
    counts the draws whose mean is at least as far from 0; it is never 0, and 1 where nothing differs. The order of
    the queries changes nothing.

    Args:
        values: One per query.
        baseline: Of the same queries in the same order.
        n_permutations: How many sign patterns are drawn.
        seed: Equal seeds give equal p-values.

    Raises:
        InvalidInputError: The lengths differ, there is no value, or one is not finite.
    """
    if len(values) != len(baseline):
        msg = f"paired values must be of the same queries, got {len(values)} and {len(baseline)}"
        raise InvalidInputError(msg)
    rows, others = (_checked(side, n_permutations, name="n_permutations") for side in (values, baseline))
    total = math.fsum(rows - others)
    # In an order of their own, so that queries that come in another one draw the same signs.
    differences = np.sort(np.abs(rows - others))
    observed = abs(total)
    generator = np.random.default_rng(seed)
    n_extreme = 0
    for n in _chunks(n_permutations, len(differences)):
        signs = generator.integers(0, 2, size=(n, len(differences)), dtype=np.int8) * 2 - 1
        # Sums in another order round differently, but equal sums must count as equal.
        n_extreme += int((np.abs(signs @ differences) >= observed - 1e-9).sum())
    return Comparison(total / len(differences), (1 + n_extreme) / (1 + n_permutations))


def _chunks(n: int, width: int) -> list[int]:
    size = max(1, _CHUNK // width)
    return [min(size, n - start) for start in range(0, n, size)]


def _checked(values: Sequence[float], n: int, *, name: str) -> npt.NDArray[np.float64]:
    rows = np.asarray(values, dtype=np.float64)
    if not len(rows) or not np.isfinite(rows).all():
        n_finite = int(np.isfinite(rows).sum())
        msg = f"a mean needs finite values of at least one query, got {len(rows)} of which {n_finite} are finite"
        raise InvalidInputError(msg)
    if n < 1:
        msg = f"{name} must be 1 or more, got {n}"
        raise InvalidInputError(msg)
    return rows
