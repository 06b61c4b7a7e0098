"""The results of a retriever, with the rank and score of each stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rerank_plugins.errors import InvalidInputError
from rerank_plugins.ranking.results import Selection
from rerank_plugins.types import RankedDocument, ScoreUnit, WindowSpan

__all__ = ["RetrievedDocument", "checked_selection", "first_stage_only", "found_texts", "merged"]


@dataclass(frozen=True, slots=True)
class RetrievedDocument:
    """One result, with its rank and score in each stage.

    Attributes:
        id: The document's id.
        text: Its text.
        rank: 1 for the best result.
        retrieval_rank: Its rank in the first stage, 1 for the best.
        retrieval_score: Its score in the first stage: BM25, a cosine, or a fused score.
        rerank_score: The reranker's raw score; None without a reranker.
        probability: The rerank score as a probability in [0, 1]; None without a reranker.
        window: Characters that the rerank score was read from; see :class:`~rerank_plugins.types.RankedDocument`.
        truncated: Whether some of the text was never read by the reranker.
    """

    id: str
    text: str
    rank: int
    retrieval_rank: int
    retrieval_score: float
    rerank_score: float | None = None
    probability: float | None = None
    window: WindowSpan | None = None
    truncated: bool = False


def checked_selection(
    reranker: object, *, top_n: int | None, threshold: float | None, threshold_unit: ScoreUnit
) -> Selection:
    """Return what a retriever selects of its reranked documents, or raise InvalidInputError if that cannot work."""
    selection = Selection.checked(top_n=top_n, threshold=threshold, unit=threshold_unit)
    if threshold is not None and reranker is None:
        msg = f"threshold={threshold} is for rerank scores, and there is no reranker; name one or leave it out"
        raise InvalidInputError(msg)
    return selection


def found_texts(found: Mapping[str, float], texts: Mapping[str, str]) -> list[str]:
    """Return the texts of the documents that were found, or raise InvalidInputError if one is missing."""
    unknown = next((document_id for document_id in found if document_id not in texts), None)
    if unknown is not None:
        msg = f"the first stage found document {unknown!r}, which texts does not have; pass what was indexed"
        raise InvalidInputError(msg)
    return [texts[document_id] for document_id in found]


def first_stage_only(found: Mapping[str, float], texts: Sequence[str]) -> list[RetrievedDocument]:
    """Return the first stage's results, in its order."""
    return [
        RetrievedDocument(document_id, text, rank, rank, score)
        for rank, ((document_id, score), text) in enumerate(zip(found.items(), texts, strict=True), start=1)
    ]


def merged(found: Mapping[str, float], ranked: Sequence[RankedDocument]) -> list[RetrievedDocument]:
    """Return the reranked results with their ranks and scores in the first stage."""
    hits = list(found.items())
    return [
        RetrievedDocument(
            id=hits[one.index][0],
            text=one.document or "",
            rank=one.rank,
            retrieval_rank=one.index + 1,
            retrieval_score=hits[one.index][1],
            rerank_score=one.score,
            probability=one.probability,
            window=one.window,
            truncated=one.truncated,
        )
        for one in ranked
    ]
