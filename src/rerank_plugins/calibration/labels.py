"""Labelled scores: checked values, made from a run and its judgements or passed directly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from rerank_plugins.checks.arguments import checked_call
from rerank_plugins.checks.kinds import shown
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.types import BLANK_DOCUMENT_SCORE

__all__ = ["checked_labels", "labelled_scores", "logits"]

_Floats = npt.NDArray[np.float64]


@checked_call()
def labelled_scores(
    run: Mapping[str, Mapping[str, float]], qrels: Mapping[str, Mapping[str, int]], *, min_grade: int = 1
) -> tuple[list[float], list[bool]]:
    """Return the score and the label of every pair of a run whose query is judged.

    A document that nobody judged counts as not relevant, which is trec_eval's rule; with sparse judgements
    that makes a threshold stricter than it need be.

    Args:
        run: Query id to document id to score.
        qrels: Query id to document id to grade.
        min_grade: Grade from which a document is relevant.

    Raises:
        InvalidInputError: No query of the run is judged.
    """
    scores: list[float] = []
    labels: list[bool] = []
    for query_id, found in run.items():
        judged = qrels.get(query_id)
        if judged is None:
            continue
        for document_id, score in found.items():
            scores.append(score)
            labels.append(judged.get(document_id, 0) >= min_grade)
    if not scores:
        msg = f"none of the run's {len(run)} queries is among the {len(qrels)} judged ones; are they of one dataset?"
        raise InvalidInputError(msg)
    return scores, labels


@checked_call(unchecked=("probabilities",))
def logits(probabilities: Sequence[float]) -> list[float]:
    """Return the raw scores (logits) of probabilities, for runs that were saved after the sigmoid.

    Values within 6e-8 of 0 or 1, which float32 sigmoids cannot distinguish, are set to that distance.

    Raises:
        InvalidInputError: A value is not in [0, 1].
    """
    values = _numbers(probabilities, name="probabilities")
    if values.size and not bool(np.all((values >= 0.0) & (values <= 1.0))):
        msg = "probabilities must lie in [0, 1]; these scores are on another scale, so take them as raw"
        raise InvalidInputError(msg)
    inside = np.clip(values, 2.0**-24, 1.0 - 2.0**-24)
    result: list[float] = np.log(inside / (1.0 - inside)).tolist()
    return result


def checked_labels(
    scores: Sequence[float], labels: Sequence[bool] | Sequence[int]
) -> tuple[_Floats, npt.NDArray[np.bool_]]:
    """Return scores and labels as arrays, without the pairs whose document is blank.

    Returns:
        Scores and labels. Shapes: (n,), (n,).

    Raises:
        InvalidInputError: Different lengths, a score that is not finite, a label that is neither true nor
            false (0 or 1), or one class only.
    """
    values, truth = _numbers(scores, name="scores"), _numbers(labels, name="labels", kinds="biuf")
    if len(values) != len(truth):
        msg = f"every score needs its label, got {len(values)} scores and {len(truth)} labels"
        raise InvalidInputError(msg)
    if not bool(np.isin(truth, (0.0, 1.0)).all()):
        wrong = truth[~np.isin(truth, (0.0, 1.0))][0]
        msg = f"labels must be true or false (1 or 0), got {wrong:g}; decide from which grade a pair is relevant"
        raise InvalidInputError(msg)
    # A blank document's score is a sentinel of this package and says nothing about the model.
    kept = values > BLANK_DOCUMENT_SCORE
    values, relevant = values[kept], truth[kept] == 1.0
    n_relevant = int(relevant.sum())
    if n_relevant in (0, len(relevant)):
        msg = (
            f"both classes are needed, got {n_relevant} relevant and {len(relevant) - n_relevant} other pairs; "
            "add pairs of the missing kind"
        )
        raise InvalidInputError(msg)
    return values, relevant


def _numbers(values: Sequence[float], *, name: str, kinds: str = "iuf") -> _Floats:
    try:
        found = np.asarray(values)
    except ValueError as error:
        msg = f"{name} must be numbers in a flat list ({error})"
        raise InvalidInputError(msg) from error
    # Strings that look like numbers are refused, and an integer of more than 64 bits has dtype object.
    is_bool = "b" not in kinds and isinstance(values, (list, tuple)) and any(type(one) is bool for one in values)
    if found.size and (is_bool or found.dtype.kind not in kinds):
        msg = f"{name} must be numbers in a flat list, got {shown(values)} of {found.dtype}"
        raise InvalidInputError(msg)
    array = found.astype(np.float64)
    if array.ndim != 1:
        msg = f"{name} must be a flat list, got the shape {array.shape}"
        raise InvalidInputError(msg)
    bad = np.flatnonzero(~np.isfinite(array))
    if len(bad):
        msg = f"{name}[{bad[0]}] is {array[bad[0]]:g}; {len(bad)} of {len(array)} are not finite. Leave those pairs out"
        raise InvalidInputError(msg)
    return array
