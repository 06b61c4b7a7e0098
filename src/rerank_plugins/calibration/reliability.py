"""Quality of probabilities: expected calibration error, Brier score, log loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from rerank_plugins.calibration.labels import checked_labels
from rerank_plugins.checks.arguments import checked_call
from rerank_plugins.checks.kinds import Within
from rerank_plugins.errors import InvalidInputError

__all__ = ["Reliability", "ReliabilityBin", "measure_reliability"]

_EPSILON = 1e-12

_Bins = Annotated[int, Within(1, 1_000_000)]


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """A bin of pairs with similar probabilities.

    Attributes:
        low: Lower end of the bin.
        high: Upper end.
        n_pairs: Pairs in it.
        predicted: Mean of their probabilities.
        observed: Share of them that is relevant.
    """

    low: float
    high: float
    n_pairs: int
    predicted: float
    observed: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Reliability:
    """Measures of a set of probabilities; lower is better for all.

    Attributes:
        expected_calibration_error: Mean over the pairs of how far their bin's prediction is from what was
            observed (Naeini et al. 2015; equal-width bins, as in Guo et al. 2017, arXiv:1706.04599).
        brier_score: Mean squared difference to the labels (Brier 1950).
        log_loss: Mean negative logarithm of the probability of the true label, in nats.
        bins: The bins that hold pairs.
    """

    expected_calibration_error: float
    brier_score: float
    log_loss: float
    bins: tuple[ReliabilityBin, ...]


@checked_call(unchecked=("probabilities", "labels"))
def measure_reliability(
    probabilities: Sequence[float],
    labels: Sequence[bool] | Sequence[int],
    *,
    n_bins: _Bins = 10,
) -> Reliability:
    """Return how well probabilities agree with labels.

    Args:
        probabilities: One per pair, in [0, 1].
        labels: True (or 1) where the document answers the query.
        n_bins: Bins of equal width.

    Raises:
        InvalidInputError: A value is not a probability, ``n_bins`` is no number of bins, or the labels cannot be used.
    """
    values, relevant = checked_labels(probabilities, labels)
    if float(values.min()) < 0.0 or float(values.max()) > 1.0:
        msg = f"probabilities must lie in [0, 1], got {values.min():g} to {values.max():g}"
        raise InvalidInputError(msg)
    places = np.minimum((values * n_bins).astype(np.int64), n_bins - 1)
    bins = []
    for place in np.unique(places).tolist():
        inside = places == place
        n_inside, predicted, observed = int(inside.sum()), float(values[inside].mean()), float(relevant[inside].mean())
        bins.append(ReliabilityBin(place / n_bins, (place + 1) / n_bins, n_inside, predicted, observed))
    truth = np.clip(np.where(relevant, values, 1.0 - values), _EPSILON, None)
    return Reliability(
        expected_calibration_error=sum(b.n_pairs * abs(b.predicted - b.observed) for b in bins) / len(values),
        brier_score=float(np.mean((values - relevant) ** 2)),
        log_loss=float(-np.log(truth).mean()),
        bins=tuple(bins),
    )
