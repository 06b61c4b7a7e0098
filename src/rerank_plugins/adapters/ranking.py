"""Classes that rank what a framework retrieved: their options, and what a call does, in time or not."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import PrivateAttr, model_validator
from typing_extensions import Self, TypedDict, Unpack

from rerank_plugins.adapters.after import After, AfterRanking, SharedEmbedders, selected
from rerank_plugins.adapters.fallback import NOT_IN_TIME, FallbackReason, OnDeadline, fall_back
from rerank_plugins.adapters.fields import Count, Number, option
from rerank_plugins.adapters.reranking import RerankerOptions
from rerank_plugins.embedder import Embedder
from rerank_plugins.engine.deadline import Deadline
from rerank_plugins.ranking.order import check_threshold
from rerank_plugins.reranker import Reranker
from rerank_plugins.types import LayerOptions, RankedDocument, Ranking, ScoreUnit

__all__ = ["Ranked", "RankingOptions", "RankingSettings"]

Ranked = Ranking | FallbackReason
"""What a call came to: the ranking, or why there is none and the retrieval order stays."""


class RankingSettings(TypedDict, total=False):
    """Settings that do not decide how a model is loaded; a class has those that fit its model."""

    top_n: int | None
    threshold: float | None
    threshold_unit: ScoreUnit
    score_unit: ScoreUnit
    deadline_s: float | None
    on_deadline: OnDeadline
    after: AfterRanking | Mapping[str, Any] | None
    layers: LayerOptions | None
    cutoff_layers: int | Sequence[int] | None
    compress_ratio: int | None
    compress_layers: int | Sequence[int] | None
    head_by_layer: bool | None
    attention_softcap: bool | None


class RankingOptions(RerankerOptions):
    """Options of the classes that rank what a framework retrieved.

    The model is loaded when the object is made, once per process, and any number of threads and event loops may use one
    object. Results are copies, which carry the keys of :mod:`rerank_plugins.adapters.metadata`; what came in is not
    changed. Blank texts rank last.

    One call with other settings: those of a copy, :meth:`with_settings`, or, where an engine or a retriever makes the
    call, those of a block, :meth:`using`. Both leave the object as it is, so that calls at the same time may differ.

    A call that is not in time (``deadline_s``), that finds more waiting than ``max_waiting_tokens``, or that asks a
    service which does not answer, gives copies of the first ``top_n`` results in retrieval order: as they came, no
    threshold applied, and marked with the metadata ``rerank_fallback``. ``on_deadline="raise"`` raises
    :class:`~rerank_plugins.errors.DeadlineExceededError`, ``OverloadedError`` or, of these,
    ``RemoteUnavailableError`` instead.
    """

    top_n: Count | None = option("top_n", 5, frozen=False)
    threshold: Number | None = option("threshold", None, frozen=False)
    threshold_unit: ScoreUnit = option("threshold_unit", "probability", frozen=False)
    on_deadline: OnDeadline = option("on_deadline", "retrieval_order", frozen=False)
    after: After | None = option("after", None, frozen=False)

    _after_embedders: SharedEmbedders = PrivateAttr(default_factory=SharedEmbedders)

    @classmethod
    def from_reranker(cls, reranker: Reranker, **settings: Unpack[RankingSettings]) -> Self:
        """Return an object that uses an existing core reranker, such as ``Reranker.from_loaded(...)``.

        It can be pickled if the reranker can: not if another library loaded its model. Its stored form has the
        reranker's options, and opens again where the model's name does.

        Args:
            reranker: What scores; it stays the caller's, and several adapters may share it.
            **settings: ``top_n`` and the other options that do not decide how a model is loaded.

        Raises:
            InvalidInputError: It is no core reranker, or a setting is the reranker's to decide.
            pydantic.ValidationError: (a ``ValueError``) A setting is unknown or cannot work.
        """
        return cls._around_reranker(reranker, settings)

    @model_validator(mode="after")
    def _check_threshold(self) -> Self:
        check_threshold(self.threshold, unit=self.threshold_unit)
        return self

    def _call_options(self) -> dict[str, Any]:
        # What comes after ranking chooses among all.
        top_n = self.top_n if self.after is None else None
        selection = {"top_n": top_n, "threshold": self.threshold, "threshold_unit": self.threshold_unit}
        return {**super()._call_options(), **selection}

    def _for_call(self, requested: int | None, *, default: int | None) -> Self:
        """Return what is in effect for this object, with the ``top_n`` of one call of a retriever that holds it.

        Args:
            requested: What the call asks for; None asks for nothing.
            default: What the retriever was made with, which counts unless a block of :meth:`using` says otherwise.
        """
        current = self._in_effect()
        if requested is None and current.top_n == self.top_n and "top_n" not in current._named_by_blocks:
            requested = default
        return current if requested in (None, current.top_n) else current.with_settings(top_n=requested)

    def close(self) -> None:
        """Give the models back: the one that ranks, and the embedder of ``after`` if it was opened."""
        super().close()
        self._after_embedders.close()

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy with other options, as :meth:`with_settings`; it shares the embedder of ``after`` too."""
        made = super().model_copy(update=update, deep=deep)
        if made._core is self._core:  # Else the two are closed apart.
            made._after_embedders = self._after_embedders
        return made

    def _rank(self, query: str, texts: Sequence[str], *, read_texts: Sequence[str] | None = None) -> Ranked:
        """Rank texts; ``read_texts`` is what the model behind reads of each, None where that is the same."""
        deadline = Deadline(self.deadline_s)
        try:
            ranked = self.reranker.rank(query, texts, **self._call_options())
            if self.after is None:
                return ranked
            vectors = None
            if self.after.embedder is not None and ranked:
                deadline.check()
                near = self._embedder_of(self.after.embedder)
                found = [texts[one.index] for one in ranked]
                vectors = near.embed_documents(found, deadline_s=deadline.left_s())
        except NOT_IN_TIME as error:
            return fall_back(error, on_deadline=self.on_deadline, n_documents=len(texts))
        chosen = selected(ranked, texts, vectors, after=self.after, top_n=self.top_n, read_texts=read_texts)
        return Ranking(chosen, usage=ranked.usage)

    async def _arank(self, query: str, texts: Sequence[str], *, read_texts: Sequence[str] | None = None) -> Ranked:
        """Rank texts, as :meth:`_rank`."""
        deadline = Deadline(self.deadline_s)
        try:
            ranked = await self.reranker.arank(query, texts, **self._call_options())
            if self.after is None:
                return ranked
            vectors = None
            if self.after.embedder is not None and ranked:
                deadline.check()
                near = await asyncio.to_thread(self._embedder_of, self.after.embedder)
                found = [texts[one.index] for one in ranked]
                vectors = await near.aembed_documents(found, deadline_s=deadline.left_s())
        except NOT_IN_TIME as error:
            return fall_back(error, on_deadline=self.on_deadline, n_documents=len(texts))
        # Not a wait but work: tokens are counted, and documents compared.
        chosen = await asyncio.to_thread(
            selected, ranked, texts, vectors, after=self.after, top_n=self.top_n, read_texts=read_texts
        )
        return Ranking(chosen, usage=ranked.usage)

    def _embedder_of(self, name: str) -> Embedder:
        return self._after_embedders.of(name, device=self.device, local_files_only=self.local_files_only)

    def _score_of(self, ranked: RankedDocument) -> float:
        return ranked.score if self.score_unit == "raw" else ranked.probability
