"""Rows with the scores of teachers, as they are written."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from rerank_plugins.errors import ScoringError
from rerank_plugins.training.data.lines import json_line
from rerank_plugins.training.data.records import TrainingRecord
from rerank_plugins.training.row_source import PlacedRecord
from rerank_plugins.training.teachers import RowTeacher

__all__ = ["Labeller", "n_texts", "standardised"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Labeller:
    """Scores rows.

    Attributes:
        teachers: What gives scores.
        weights: Of each; None weighs all the same.
        standardise: Whether the scores of one teacher are standardised too.
    """

    teachers: Sequence[RowTeacher]
    weights: tuple[float, ...] | None
    standardise: bool

    def __call__(self, block: Sequence[PlacedRecord]) -> list[tuple[bytes | None, Counter[str]]]:
        """Return the line of each row, None where a score is missing, and what is counted for it.

        Raises:
            ScoringError: A teacher failed, or gave NaN, or more or fewer scores than there are texts.
        """
        found = [teacher.scores(block) for teacher in self.teachers]
        n_wanted = sum(n_texts(one.record) for one in block)
        if any(len(scores) != n_wanted for scores in found):
            msg = f"a teacher gave {', '.join(str(len(scores)) for scores in found)} scores for {n_wanted} texts"
            raise ScoringError(msg)
        if any(score is not None and not math.isfinite(score) for scores in found for score in scores):
            msg = "a teacher gave NaN or infinity"
            raise ScoringError(msg)
        made, start = list[tuple[bytes | None, Counter[str]]](), 0
        for one in block:
            end = start + n_texts(one.record)
            own = [list(scores[start:end]) for scores in found]
            if any(score is None for scores in own for score in scores):
                made.append((None, Counter()))
            else:
                combined = self._combined(np.array(own, dtype=np.float64))
                n_before = len(one.record.pos_scores or ()) + len(one.record.neg_scores or ())
                line = json_line(_with_scores(one.record, combined).to_mapping())
                made.append((line, Counter({"scores": end - start, "replaced": n_before})))
            start = end
        return made

    def _combined(self, scores: npt.NDArray[np.float64]) -> list[float]:
        """Return one score a text. Shape of ``scores``: (teachers, texts)."""
        if len(scores) == 1 and not self.standardise:
            return [float(one) for one in scores[0]]
        mean = np.average([standardised(one) for one in scores], axis=0, weights=self.weights)
        return [float(one) for one in mean]


def standardised(scores: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return scores with mean 0 and standard deviation 1; zeros where all are equal.

    Args:
        scores: One query's. Shape: (texts,).
    """
    spread = scores.std()
    # What differs by rounding only is equal.
    is_flat = spread <= 1e-9 * max(1.0, float(np.abs(scores).max()))
    return np.zeros_like(scores) if is_flat else (scores - scores.mean()) / spread


def n_texts(record: TrainingRecord) -> int:
    """Return how many texts a row has that are scored."""
    return len(record.pos) + len(record.neg)


def _with_scores(record: TrainingRecord, scores: Sequence[float]) -> TrainingRecord:
    cut = len(record.pos)
    return replace(record, pos_scores=tuple(scores[:cut]), neg_scores=tuple(scores[cut:]))
