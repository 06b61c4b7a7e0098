"""Document compressors: retrieved documents in, the best of them out, best first, scores attached."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from langchain_core.callbacks import Callbacks
from langchain_core.documents import BaseDocumentCompressor, Document
from pydantic import Field, ValidationInfo, field_validator
from typing_extensions import Self

from langchain_rerank_plugins.reranking import RerankerBacked, settings_of
from langchain_rerank_plugins.scored import page_contents, scored_copy
from langchain_rerank_plugins.tracing import RerankStep
from rerank_plugins import LongDocuments, RankedDocument, Reranker
from rerank_plugins.ranking.order import check_threshold, check_top_n
from rerank_plugins.types import LongDocumentStrategy, ScoreUnit

__all__ = ["BceRerankCompressor", "BgeRerankCompressor", "RerankCompressor"]


class RerankCompressor(RerankerBacked, BaseDocumentCompressor):
    """Reranks retrieved documents with any model that the core knows.

    The documents returned are copies. Their metadata gets ``relevance_score`` (in ``score_unit``),
    ``relevance_probability``, ``rerank_rank`` (1 is best), ``rerank_window`` (``[start, end]``
    characters that the score was read from; only when less than the whole text was read or one window
    won) and ``rerank_truncated`` (only when True). All are plain JSON types. Empty and blank documents
    rank last. One object may be used by any number of threads and event loops.

    Each call is a chain run with the class's name and the tag ``rerank``, ended on every path.

    Example:
        >>> compressor = RerankCompressor(model="mini", top_n=1)
        >>> documents = [Document("Berlin"), Document("Paris is the capital.")]
        >>> [d.page_content for d in compressor.compress_documents(documents, "capital of France")]
        ['Paris is the capital.']
    """

    top_n: int | None = 5
    """Documents returned at most; None returns all."""

    threshold_unit: ScoreUnit = "probability"
    """What ``threshold`` is compared with: ``probability`` (in [0, 1]) or ``raw``."""

    threshold: float | None = None
    """Documents below it are left out; None keeps all."""

    @field_validator("top_n", mode="before")
    @classmethod
    def _possible_top_n(cls, top_n: Any) -> Any:
        check_top_n(top_n)
        return top_n

    @field_validator("threshold", mode="before")
    @classmethod
    def _reachable_threshold(cls, threshold: Any, info: ValidationInfo) -> Any:
        # Without a unit the unit itself was refused, and that error is the one to report.
        if "threshold_unit" in info.data:
            check_threshold(threshold, unit=info.data["threshold_unit"])
        return threshold

    @classmethod
    def from_reranker(
        cls,
        reranker: Reranker,
        *,
        top_n: int | None = 5,
        threshold: float | None = None,
        threshold_unit: ScoreUnit = "probability",
        score_unit: ScoreUnit = "raw",
    ) -> Self:
        """Return a compressor that uses an existing core reranker, such as ``Reranker.from_loaded(...)``.

        The compressor cannot be pickled.

        Args:
            reranker: What scores; it stays the caller's, and several adapters may share it.
            top_n: Documents returned at most; None returns all.
            threshold: Documents below it are left out; None keeps all.
            threshold_unit: What ``threshold`` is compared with.
            score_unit: What ``relevance_score`` is.

        Raises:
            InvalidInputError: It is not a core reranker.
        """
        options = {
            **settings_of(reranker),
            "top_n": top_n,
            "threshold_unit": threshold_unit,
            "threshold": threshold,
            "score_unit": score_unit,
        }
        return cls._from_core(reranker, options)

    def compress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> list[Document]:
        """Return scored copies of the documents, best first.

        Args:
            documents: Retrieved documents; ties keep their order.
            query: The question.
            callbacks: Handlers, or the child manager of the run that this is a part of.

        Raises:
            InvalidInputError: ``documents`` holds something else, or ``query`` is not a string.
            ScoringError: The model returned NaN.
            EngineClosedError: ``close()`` was called.
        """
        run = self._step(documents, query).start(callbacks)
        try:
            ranked = self.reranker.rank(query, page_contents(documents), **self._selection())
            result = self._scored(documents, ranked)
        except BaseException as error:
            run.on_chain_error(error)
            raise
        run.on_chain_end({"documents": result})
        return result

    async def acompress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> list[Document]:
        """Return what :meth:`compress_documents` returns, without blocking the event loop."""
        run = await self._step(documents, query).astart(callbacks)
        try:
            ranked = await self.reranker.arank(query, page_contents(documents), **self._selection())
            result = self._scored(documents, ranked)
        except BaseException as error:  # A cancelled call ends its run too.
            await run.on_chain_error(error)
            raise
        await run.on_chain_end({"documents": result})
        return result

    def _step(self, documents: Sequence[Document], query: str) -> RerankStep:
        metadata = {"rerank_model": self.reranker.model, "rerank_top_n": self.top_n}
        return RerankStep(name=type(self).__name__, query=query, documents=documents, metadata=metadata)

    def _selection(self) -> dict[str, Any]:
        return {"top_n": self.top_n, "threshold": self.threshold, "threshold_unit": self.threshold_unit}

    def _scored(self, documents: Sequence[Document], ranked: Sequence[RankedDocument]) -> list[Document]:
        return [scored_copy(documents[one.index], one, unit=self.score_unit) for one in ranked]


class BgeRerankCompressor(RerankCompressor):
    """Reranks with a BGE reranker: ``BgeRerankCompressor(top_n=5)`` is all it takes.

    Scores are those of ``FlagReranker.compute_score`` (raw logits).
    """

    model: str | Path = Field(default="BAAI/bge-reranker-v2-m3", frozen=True)
    """A BGE reranker's hub id, or a local folder with one."""

    family: str | None = Field(default="bge", frozen=True)
    """Conventions to use for a local folder."""


class BceRerankCompressor(RerankCompressor):
    """Reranks with the BCE reranker, long documents by their best window as BCEmbedding's ``rerank`` does.

    Its authors read the probability as an absolute score and advise to drop below about 0.35:
    ``BceRerankCompressor(threshold=0.35)``.
    """

    model: str | Path = Field(default="maidalun1020/bce-reranker-base_v1", frozen=True)
    """The BCE reranker's hub id, or a local folder with it."""

    family: str | None = Field(default="bce", frozen=True)
    """Conventions to use for a local folder."""

    long_documents: LongDocumentStrategy | LongDocuments = Field(default="maxp", frozen=True)
    """As in :class:`RerankCompressor`; BCEmbedding splits a long document and takes the best window."""
