"""The core as LangChain's own cross-encoder, for code that takes a ``BaseCrossEncoder``."""

from __future__ import annotations

from typing import ClassVar

from langchain_core.cross_encoders import BaseCrossEncoder
from typing_extensions import Self

from langchain_rerank_plugins.compressor import RerankCompressor
from rerank_plugins import Reranker
from rerank_plugins.adapters.options import ExistingModel
from rerank_plugins.adapters.reranking import AnyRerankerOptions
from rerank_plugins.types import ScoreUnit

__all__ = ["RerankCrossEncoder"]


class RerankCrossEncoder(AnyRerankerOptions, BaseCrossEncoder):
    """Scores pairs of texts; ``CrossEncoderReranker(model=RerankCrossEncoder(model=...))`` uses it.

    LangChain's ``CrossEncoderReranker`` drops the scores, has no threshold and is not async:
    :class:`~langchain_rerank_plugins.RerankCompressor` is the better choice where both fit.
    """

    _any_model: ClassVar[str] = "RerankCompressor"

    @classmethod
    def from_reranker(cls, reranker: Reranker, *, score_unit: ScoreUnit = "raw") -> Self:
        """Return a cross-encoder that uses an existing core reranker, which stays the caller's.

        Raises:
            InvalidInputError: It is no core reranker.
        """
        return cls._around_reranker(reranker, {"score_unit": score_unit})

    def as_compressor(self) -> RerankCompressor:
        """Return a compressor with the same model and options, for code that reranks documents."""
        return RerankCompressor._from_existing(ExistingModel(self._core, self._is_adopted), self._options())

    def score(self, text_pairs: list[tuple[str, str]]) -> list[float]:
        """Return the score of each (query, document) pair, in input order, as Python floats.

        Raises:
            InvalidInputError: An element is not a pair of strings.
            ScoringError: The model returned NaN.
            DeadlineExceededError: ``deadline_s`` is over; scores have no retrieval order to fall back to.
            OverloadedError: More work waits than ``max_waiting_tokens``.
            EngineClosedError: ``close()`` was called.
        """
        settings = self._in_effect()
        return settings._in_unit(settings.reranker.score(text_pairs, **settings._call_options()))

    async def ascore(self, text_pairs: list[tuple[str, str]]) -> list[float]:
        """Return what :meth:`score` returns, without blocking the event loop."""
        settings = self._in_effect()
        return settings._in_unit(await settings.reranker.ascore(text_pairs, **settings._call_options()))

    def _in_unit(self, scores: list[float]) -> list[float]:
        return scores if self.score_unit == "raw" else [self.reranker.probability(score) for score in scores]
