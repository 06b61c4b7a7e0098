"""Document compressors: retrieved documents in, the best of them out, best first, scores attached."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from langchain_core.callbacks import Callbacks
from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_core.runnables import Runnable, RunnableConfig
from pydantic import Field
from typing_extensions import Self, TypedDict

from langchain_rerank_plugins.scored import KEEP_SCORES, marked_copy, page_contents, plain_copy, scored_copy
from langchain_rerank_plugins.tracing import RerankStep, inside
from rerank_plugins.adapters.fields import Flag
from rerank_plugins.adapters.metadata import FALLBACK_KEY
from rerank_plugins.adapters.ranking import Ranked, RankingOptions
from rerank_plugins.adapters.reranking import AnyRerankerOptions
from rerank_plugins.errors import InvalidInputError

__all__ = ["PIPE_HINT", "BaseRerankCompressor", "RerankCompressor", "RerankInput"]

PIPE_HINT = (
    "a compressor needs the query beside the documents, and a retriever hands on documents only. Write "
    "ContextualCompressionRetriever(base_compressor=compressor, base_retriever=retriever), of langchain_classic."
    "retrievers, or TwoStageRetriever(first_stage=retriever, reranker=compressor), of langchain_rerank_plugins: both "
    "are retrievers. In a chain also {'documents': retriever, 'query': RunnablePassthrough()} | compressor"
)
"""What to write instead of ``retriever | compressor``."""


class RerankInput(TypedDict):
    """What a compressor takes in a chain."""

    documents: Sequence[Document]
    query: str


class BaseRerankCompressor(RankingOptions, Runnable[Mapping[str, Any], list[Document]], BaseDocumentCompressor):
    """What all reranking compressors do; :class:`RerankCompressor` is the one that takes any model.

    The documents returned are copies. Their metadata gets ``relevance_score`` (in ``score_unit``), the score that
    LangChain's tools look for, and the keys of :mod:`rerank_plugins.adapters.metadata`; ``relevance_probability``, the
    old name of ``rerank_probability``, stays for one more release. All are plain JSON types. With
    ``keep_scores=False`` none of them is there. What becomes of a call that is not in time:
    :class:`~rerank_plugins.adapters.ranking.RankingOptions`.

    Each call is a chain run with the class's name and the tag ``rerank``, ended on every path; its outputs say it where
    the retrieval order was kept.

    One call with other settings: ``compressor.with_settings(top_n=3).compress_documents(...)``, or, where a retriever
    makes the call, ``with compressor.using(top_n=3): retriever.invoke(...)``. A retriever's own way works too:
    ``configurable_fields(base_compressor=ConfigurableField(id="reranker"))`` takes such a copy per call.

    In a chain a compressor is a Runnable that takes a dictionary: ``{"documents": retriever, "query":
    RunnablePassthrough()} | compressor | format_documents``. ``retriever | compressor`` cannot work and says what to
    write.
    """

    _any_model: ClassVar[str] = "RerankCompressor"

    keep_scores: Flag = Field(default=True, description=KEEP_SCORES)

    # LangChain reads it of any Runnable. No option of a compressor: ``with_config(run_name=...)`` names a run.
    name: ClassVar[str | None] = None  # type: ignore[misc]

    @property
    def InputType(self) -> type[Mapping[str, Any]]:
        """What the schemas of a chain say that this step takes."""
        return RerankInput

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
            DeadlineExceededError: With ``on_deadline="raise"``: the time is over.
            OverloadedError: With ``on_deadline="raise"``: too much work waits.
            EngineClosedError: ``close()`` was called.
        """
        return self._in_effect()._compressed(documents, query, callbacks=callbacks)

    async def acompress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> list[Document]:
        """Return what :meth:`compress_documents` returns, without blocking the event loop."""
        return await self._in_effect()._acompressed(documents, query, callbacks=callbacks)

    def invoke(self, input: Mapping[str, Any], config: RunnableConfig | None = None, **settings: Any) -> list[Document]:  # noqa: A002
        """Return the scored documents of a step in a chain.

        Args:
            input: ``documents`` and ``query``; what else is there is left alone.
            config: LangChain's; None takes that of the runnable that is running.
            **settings: Of this call alone, as in :meth:`with_settings`; ``compressor.bind(top_n=3)`` hands them on.

        Raises:
            InvalidInputError: The input is something else, such as a retriever's documents; or as
                :meth:`compress_documents`.
            ValueError: A setting is unknown or cannot work.
        """
        documents, query = self._step_input(input)
        return self._for_step(settings)._compressed(documents, query, config=config)

    async def ainvoke(
        self,
        input: Mapping[str, Any],  # noqa: A002
        config: RunnableConfig | None = None,
        **settings: Any,
    ) -> list[Document]:
        """Return what :meth:`invoke` returns, without blocking the event loop."""
        documents, query = self._step_input(input)
        # Settings that decide how a model is loaded have its files looked up.
        current = await asyncio.to_thread(self._for_step, settings) if settings else self._in_effect()
        return await current._acompressed(documents, query, config=config)

    def _for_step(self, settings: Mapping[str, Any]) -> Self:
        current = self._in_effect()
        return current.with_settings(**settings) if settings else current

    def _compressed(
        self,
        documents: Sequence[Document],
        query: str,
        *,
        callbacks: Callbacks | None = None,
        config: RunnableConfig | None = None,
    ) -> list[Document]:
        run = self._step(documents, query).start(callbacks, config)
        try:
            with inside(run, config):
                ranked = self._rank(query, page_contents(documents))
            results, marks = self._results(documents, ranked)
        except BaseException as error:
            run.on_chain_error(error)
            raise
        run.on_chain_end({"documents": results, **marks})
        return results

    async def _acompressed(
        self,
        documents: Sequence[Document],
        query: str,
        *,
        callbacks: Callbacks | None = None,
        config: RunnableConfig | None = None,
    ) -> list[Document]:
        run = await self._step(documents, query).astart(callbacks, config)
        try:
            with inside(run, config):
                ranked = await self._arank(query, page_contents(documents))
            results, marks = self._results(documents, ranked)
        except BaseException as error:  # A cancelled call ends its run too.
            await run.on_chain_error(error)
            raise
        await run.on_chain_end({"documents": results, **marks})
        return results

    def _step_input(self, inputs: object) -> tuple[Sequence[Document], str]:
        if not isinstance(inputs, Mapping) or not {"documents", "query"} <= inputs.keys():
            got = f"the keys {sorted(map(str, inputs))}" if isinstance(inputs, Mapping) else type(inputs).__name__
            msg = f"{type(self).__name__} got {got}, not documents and query: {PIPE_HINT}"
            raise InvalidInputError(msg)
        return inputs["documents"], inputs["query"]

    def _step(self, documents: Sequence[Document], query: str) -> RerankStep:
        metadata = {"rerank_model": self.reranker.model, "rerank_top_n": self.top_n}
        return RerankStep(name=type(self).__name__, query=query, documents=documents, metadata=metadata)

    def _results(self, documents: Sequence[Document], ranked: Ranked) -> tuple[list[Document], Mapping[str, str]]:
        """Return the documents, and what the run's outputs have beside them."""
        if isinstance(ranked, str):
            return [marked_copy(one, ranked) for one in documents[: self.top_n]], {FALLBACK_KEY: ranked}
        if not self.keep_scores:
            return [plain_copy(documents[one.index]) for one in ranked], {}
        return [
            scored_copy(documents[one.index], one, score=self._score_of(one), usage=ranked.usage) for one in ranked
        ], {}


class RerankCompressor(AnyRerankerOptions, BaseRerankCompressor):
    """Reranks retrieved documents with any model that the core knows; see :class:`BaseRerankCompressor`.

    Example:
        >>> compressor = RerankCompressor(model="mini", top_n=1)
        >>> documents = [Document("Berlin"), Document("Paris is the capital.")]
        >>> [d.page_content for d in compressor.compress_documents(documents, "capital of France")]
        ['Paris is the capital.']
    """
