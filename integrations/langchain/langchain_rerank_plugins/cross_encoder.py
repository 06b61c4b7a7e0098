"""The core as LangChain's own cross-encoder, for code that takes a ``BaseCrossEncoder``."""

from __future__ import annotations

from langchain_core.cross_encoders import BaseCrossEncoder
from typing_extensions import Self

from langchain_rerank_plugins.reranking import RerankerBacked, settings_of
from rerank_plugins import Reranker
from rerank_plugins.types import ScoreUnit

__all__ = ["RerankCrossEncoder"]


class RerankCrossEncoder(RerankerBacked, BaseCrossEncoder):
    """Scores pairs of texts; ``CrossEncoderReranker(model=RerankCrossEncoder(model=...))`` uses it.

    LangChain's ``CrossEncoderReranker`` drops the scores, has no threshold and is not async:
    :class:`~langchain_rerank_plugins.RerankCompressor` is the better choice where both fit.
    """

    @classmethod
    def from_reranker(cls, reranker: Reranker, *, score_unit: ScoreUnit = "raw") -> Self:
        """Return a cross-encoder that uses an existing core reranker. It cannot be pickled.

        Args:
            reranker: What scores; it stays the caller's.
            score_unit: What the scores are.

        Raises:
            InvalidInputError: It is not a core reranker.
        """
        return cls._from_core(reranker, {**settings_of(reranker), "score_unit": score_unit})

    def score(self, text_pairs: list[tuple[str, str]]) -> list[float]:
        """Return the score of each (query, document) pair, in input order, as Python floats.

        Raises:
            InvalidInputError: An element is not a pair of strings.
            ScoringError: The model returned NaN.
            EngineClosedError: ``close()`` was called.
        """
        return self._in_unit(self.reranker.score(text_pairs))

    async def ascore(self, text_pairs: list[tuple[str, str]]) -> list[float]:
        """Return what :meth:`score` returns, without blocking the event loop."""
        return self._in_unit(await self.reranker.ascore(text_pairs))

    def _in_unit(self, scores: list[float]) -> list[float]:
        if self.score_unit == "raw":
            return scores
        return [self.reranker.probability(score) for score in scores]
