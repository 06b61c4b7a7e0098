"""Weights of an ensemble from labelled pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from rerank_plugins.calibration.labels import checked_labels
from rerank_plugins.checks.arguments import checked_call
from rerank_plugins.checks.optional import import_extra
from rerank_plugins.composed.ensemble import EnsembleScorer
from rerank_plugins.composed.facades import Ensemble
from rerank_plugins.composed.members import Member
from rerank_plugins.composed.naming import Fusion
from rerank_plugins.composed.scale import log_odds
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.reranker import Reranker
from rerank_plugins.types import BLANK_DOCUMENT_SCORE, EngineOptions

__all__ = ["fit_ensemble"]

_Floats = npt.NDArray[np.float64]

_PENALTY = 1e-3
"""Weight of the squared coefficients, on standardised log-odds, so that separable data gives finite weights."""

_ROUNDING = 1e-9


@checked_call(unchecked=("members", "pairs", "labels"))
def fit_ensemble(
    members: object,
    pairs: Sequence[tuple[str, str]],
    labels: Sequence[bool] | Sequence[int],
    *,
    fusion: Fusion = "logit",
    engine: EngineOptions | None = None,
) -> Ensemble:
    """Return an ensemble whose weights fit labelled pairs best; no weight is negative.

    ``logit``: logistic regression of the labels on the members' log-odds, by scipy, with a bias and a penalty of 0.001
    times the squared coefficients (log-odds standardised). Its scores are then calibrated for pairs like these.
    ``probability``: the weights that sum to 1 with the least squared error of the mean probability (non-negative least
    squares, by scipy). ``rrf`` has nothing that pairs could fit.

    Args:
        members: As of :class:`~rerank_plugins.composed.facades.Ensemble`; their weights are replaced.
        pairs: (query, document); those of blank documents do not count.
        labels: True (or 1) where the document answers the query.
        fusion: ``logit`` or ``probability``.
        engine: As of :class:`~rerank_plugins.composed.facades.Ensemble`.

    Raises:
        InvalidInputError: The fusion has no weights to fit, labels that
            :func:`~rerank_plugins.calibration.labels.checked_labels` refuses, a member is listwise, or with
            ``logit`` no member's scores rise with relevance.
        MissingExtraError: scipy is not installed.
    """
    if fusion == "rrf":
        msg = "fusion='rrf' knows ranks only, and labelled pairs fit no weights of it; take logit or probability"
        raise InvalidInputError(msg)
    scorer = EnsembleScorer(members, fusion=fusion)
    try:
        if scorer.spec.score_scope == "call":
            msg = "a member is listwise: its score of a pair depends on the call, so pairs fit no weight for it"
            raise InvalidInputError(msg)
        columns = [model.reranker.score(pairs, layers=model.layers) for model in scorer.models]
        relevant = checked_labels(columns[0], labels)[1].astype(np.float64)
        # Blank documents say nothing of a model, and have no label there.
        filled = [place for place, score in enumerate(columns[0]) if score > BLANK_DOCUMENT_SCORE]
        of_score = log_odds if fusion == "logit" else Reranker.probability
        rows = np.array(
            [
                [of_score(model.reranker, column[place]) for place in filled]
                for model, column in zip(scorer.models, columns, strict=True)
            ]
        )
    finally:
        scorer.close()
    if fusion == "logit":
        weights, bias = _logistic(rows, relevant)
    else:
        weights, bias = _shares(rows, relevant), 0.0
    if not weights.any():
        msg = "no member's scores rise with relevance, so every weight is 0; check that label 1 means relevant"
        raise InvalidInputError(msg)
    weighted: list[Member] = [
        replace(one, weight=float(share)) for one, share in zip(scorer.members, weights, strict=True)
    ]
    return Ensemble(weighted, fusion=fusion, bias=float(bias), engine=engine)


def _shares(rows: _Floats, relevant: _Floats) -> _Floats:
    """Return the weight of each row, 0 or more and 1 together, with the least squared error of their weighted sum.

    With weights w that sum to 1 the error is the length of E w, where E holds the members' own errors. For u = t w the
    sum of squares of E u and of t - 1 is least, over t, at |E w|^2 / (1 + |E w|^2), which grows with |E w|: so the u of
    a plain non-negative least squares has the direction of the w that is wanted.
    """
    errors = (rows - relevant) / np.sqrt(len(relevant))
    wanted = np.append(np.zeros(len(relevant)), 1.0)
    found = import_extra("scipy.optimize", extra="calibration").nnls(np.vstack([errors.T, np.ones(len(rows))]), wanted)[
        0
    ]
    return np.asarray(found / found.sum())


def _logistic(rows: _Floats, relevant: _Floats) -> tuple[_Floats, float]:
    """Return the weight of each row, 0 or more, and the bias that minimise the penalised cross-entropy."""
    center, scale = rows.mean(axis=1, keepdims=True), rows.std(axis=1, keepdims=True)
    # What differs by rounding only is equal, as for a calibration: scaled up, it would get a weight without end.
    scale[scale <= _ROUNDING * np.abs(rows).max(axis=1, keepdims=True)] = 1.0
    inputs = np.vstack([(rows - center) / scale, np.ones_like(relevant)])

    def loss(line: _Floats) -> tuple[float, _Floats]:
        logits = line @ inputs
        # log(1 + exp(x)) - label * x without overflow, and its gradient.
        value = np.logaddexp(0.0, logits) - relevant * logits
        slope = inputs @ (0.5 * (1.0 + np.tanh(0.5 * logits)) - relevant) / len(relevant)
        slope[:-1] += 2.0 * _PENALTY * line[:-1]
        return float(value.mean() + _PENALTY * (line[:-1] ** 2).sum()), slope

    bounds = [(0.0, None)] * len(rows) + [(None, None)]
    start = np.array([1.0] * len(rows) + [0.0])
    optimize = import_extra("scipy.optimize", extra="calibration")
    found = optimize.minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x
    weights = found[:-1] / scale[:, 0]
    return weights, float(found[-1] - weights @ center[:, 0])
