"""Results of rerankers that are made of others: which of them scored a document, and how each of them ended."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["StageScore", "StageUsage"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StageScore:
    """What one model of several said of a document.

    Attributes:
        name: The model, as the stage of a cascade or the member of an ensemble is called.
        score: Its own raw score.
        probability: That score in [0, 1], by its own calibration or scale.
        truncated: Whether it did not read all of the document.
    """

    name: str
    score: float
    probability: float
    truncated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StageUsage:
    """What became of one stage in one call.

    Attributes:
        name: The model.
        documents: Documents that it scored.
        ms: Milliseconds that it took, also where it was given up.
        skipped: Why its scores do not count: ``no time`` (it was not started, because it could not have ended within
            the budget), ``late`` (it was given up when the budget was over), ``failed: ...`` (the error's class),
            ``stopped`` (a stage before it does not count), ``nothing to read``; empty where they count.
    """

    name: str
    documents: int
    ms: float
    skipped: str = ""

    def __add__(self, other: StageUsage) -> StageUsage:
        """Return what became of this stage in both; the later reason why scores do not count stands."""
        return StageUsage(
            name=self.name,
            documents=self.documents + other.documents,
            ms=self.ms + other.ms,
            skipped=other.skipped or self.skipped,
        )
