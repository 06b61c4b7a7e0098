"""The core as LangChain's own cross-encoder, for code that takes a ``BaseCrossEncoder``."""

from __future__ import annotations

from typing import Any

from langchain_core.cross_encoders import BaseCrossEncoder
from typing_extensions import Self

from langchain_rerank_plugins.compressor import RerankCompressor
from langchain_rerank_plugins.options import Given
from langchain_rerank_plugins.reranking import AnyModelOptions
from rerank_plugins import Reranker
from rerank_plugins.adapting import stand_in
from rerank_plugins.types import ScoreUnit

__all__ = ["RerankCrossEncoder"]


class RerankCrossEncoder(AnyModelOptions, BaseCrossEncoder):
    """Scores pairs of texts; ``CrossEncoderReranker(model=RerankCrossEncoder(model=...))`` uses it.

    LangChain's ``CrossEncoderReranker`` drops the scores, has no threshold and is not async:
    :class:`~langchain_rerank_plugins.RerankCompressor` is the better choice where both fit.
    """

    @classmethod
    def from_reranker(cls, reranker: Reranker, *, score_unit: ScoreUnit = "raw") -> Self:
        """Return a cross-encoder that uses an existing core reranker.

        Args:
            reranker: What scores; it stays the caller's.
            score_unit: What the scores are.

        Raises:
            InvalidInputError: It is not a core reranker.
        """
        return cls._around(reranker, {"score_unit": score_unit})

    def as_compressor(self) -> RerankCompressor:
        """Return a compressor with the same model and options, for code that reranks documents."""
        return RerankCompressor.model_validate(self._options(), context=Given(self._core, self._adopted))

    def score(self, text_pairs: list[tuple[str, str]]) -> list[float]:
        """Return the score of each (query, document) pair, in input order, as Python floats.

        Raises:
            InvalidInputError: An element is not a pair of strings.
            ScoringError: The model returned NaN.
            DeadlineExceededError: ``deadline_s`` is over; scores have no retrieval order to fall back to.
            OverloadedError: More work waits than ``max_waiting_tokens``.
            EngineClosedError: ``close()`` was called.
        """
        settings = stand_in(self)
        return settings._in_unit(settings.reranker.score(text_pairs, **settings._call_options()))

    async def ascore(self, text_pairs: list[tuple[str, str]]) -> list[float]:
        """Return what :meth:`score` returns, without blocking the event loop."""
        settings = stand_in(self)
        return settings._in_unit(await settings.reranker.ascore(text_pairs, **settings._call_options()))

    def _call_options(self) -> dict[str, Any]:
        return {"layers": self.layers, "deadline_s": self.deadline_s}

    def _in_unit(self, scores: list[float]) -> list[float]:
        if self.score_unit == "raw":
            return scores
        return [self.reranker.probability(score) for score in scores]
