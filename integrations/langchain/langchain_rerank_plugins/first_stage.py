"""The core's first stages as a LangChain retriever."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from pydantic import Field, InstanceOf, PrivateAttr
from pydantic.json_schema import SkipJsonSchema

from langchain_rerank_plugins.compressor import BaseRerankCompressor
from langchain_rerank_plugins.parts import OWN, PARTS, AnyEmbedder, PipedRetriever, listed, with_ids
from langchain_rerank_plugins.scored import KEEP_SCORES, with_metadata
from rerank_plugins.adapters.arguments import call_limit
from rerank_plugins.adapters.corpus import Corpus, async_version
from rerank_plugins.adapters.fields import Count, Flag
from rerank_plugins.adapters.metadata import RETRIEVAL_RANK_KEY, RETRIEVAL_SCORE_KEY
from rerank_plugins.adapters.saved import OpenedFolder, open_folder, write_retriever
from rerank_plugins.checks.arguments import checked_call
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.retrieval import Fusion, RetrieverName
from rerank_plugins.retrieval.build import DEFAULT_EMBEDDER, AnyTokenVectorStore
from rerank_plugins.retrieval.first_stage import AddingLock, check_new_ids

__all__ = ["FirstStageRetriever", "GrowingRetriever"]


class GrowingRetriever(PipedRetriever):
    """A retriever that takes more documents, and that can be kept in a folder; made by ``from_documents``."""

    @checked_call(unchecked=OWN)
    def add_documents(self, documents: Sequence[Document | str], ids: Sequence[str] | None = None) -> list[str]:
        """Index more documents or texts, and return their ids; add many at a time.

        Calls that search meanwhile find all of them or none. ``ids=None`` takes the documents' own, and makes new ones
        where they have none.

        Raises:
            InvalidInputError: ``documents`` or ``ids`` holds something else, an id is there already, or the first
                stage is a retriever of another kind.
            ScoringError: The embedder returned NaN or infinity.
        """
        stage = self._indexed("documents cannot be added to it here; add them to its store")
        return stage._added(with_ids(listed(documents), ids))

    aadd_documents = async_version(add_documents)

    @checked_call()
    def save(self, folder: str | Path) -> Path:
        """Write documents, vectors and settings into a folder, and return it; see :mod:`rerank_plugins.adapters.saved`.

        Args:
            folder: New, empty, or an earlier saved retriever, which is replaced.

        Raises:
            InvalidInputError: A document's metadata is not plain JSON, the folder cannot be written, or the first stage
                is a retriever of another kind.
        """
        stage = self._indexed("it cannot be saved here; save its store, and make this retriever over it again")
        corpus, top_k, keep_scores = stage._made(), stage.top_k, stage.keep_scores
        return write_retriever(PARTS, folder, corpus, top_k=top_k, keep_scores=keep_scores, **self._kept())

    def _indexed(self, otherwise: str) -> FirstStageRetriever:
        """Return what holds the documents, or raise InvalidInputError with what to do ``otherwise``."""
        raise NotImplementedError

    def _kept(self) -> dict[str, Any]:
        """Return what a folder keeps of the second stage."""
        return {}


class FirstStageRetriever(GrowingRetriever):
    """Retrieves with BM25, vectors in FAISS, both fused, or token vectors; made by :meth:`from_documents`.

    The documents returned are copies. Their metadata gets ``retrieval_score`` and ``retrieval_rank`` (1 is best),
    unless ``keep_scores`` is False.
    ``retriever.invoke(query, top_k=3)``, or ``k=3``, returns at most three, for this call.
    """

    top_k: Count = 50
    """Documents returned at most."""

    keep_scores: Flag = Field(default=True, description=KEEP_SCORES)

    corpus: Annotated[InstanceOf[Corpus[Document]], SkipJsonSchema()] | None = Field(
        default=None, exclude=True, repr=False
    )
    """What :meth:`from_documents` makes; a field, because LangChain's ``configurable_fields`` hands on nothing else."""

    _adding: AddingLock = PrivateAttr(default_factory=AddingLock)

    @classmethod
    @checked_call(unchecked=OWN)
    def from_documents(
        cls,
        documents: Sequence[Document | str],
        *,
        retriever: RetrieverName = "hybrid",
        embedder: AnyEmbedder = DEFAULT_EMBEDDER,
        top_k: int = 50,
        faiss_index: str | None = "Flat",
        fusion: Fusion = "rrf",
        weights: Sequence[float] | None = None,
        vectors: AnyTokenVectorStore | None = None,
        keep_scores: bool = True,
    ) -> FirstStageRetriever:
        """Index documents or texts, and return a retriever over them; only ``page_content`` is searched.

        ``retriever``, ``faiss_index``, ``fusion``, ``weights`` and ``vectors`` are those of
        :func:`rerank_plugins.retrieval.build_first_stage`, whose errors are raised here too. ``embedder`` may also be
        embeddings of this package. ``keep_scores=False`` leaves scores and ranks out of the metadata.

        Raises:
            InvalidInputError: ``documents`` holds something else, or an option cannot work.
        """
        made = cls(top_k=top_k, keep_scores=keep_scores)
        items = {str(position): one for position, one in enumerate(listed(documents))}
        made.corpus = PARTS.indexed(
            items,
            retriever=retriever,
            embedder=embedder,
            faiss_index=faiss_index,
            fusion=fusion,
            weights=weights,
            vectors=vectors,
        )
        return made

    @classmethod
    @checked_call(unchecked=OWN)
    def load(cls, folder: str | Path, *, embedder: AnyEmbedder | None = None) -> FirstStageRetriever:
        """Return a retriever that :meth:`save` wrote, or the first stage of one; no text is embedded again.

        ``embedder`` is as in :meth:`from_documents`. None opens the one that the vectors were made with; another one is
        refused.

        Raises:
            InvalidInputError: The folder holds something else or is damaged, or the embedder is another one.
            ModelError: The embedder cannot be loaded.
        """
        return cls._of(open_folder(PARTS, folder), embedder)

    @classmethod
    def _of(
        cls, opened: OpenedFolder[BaseRerankCompressor, Document], embedder: AnyEmbedder | None
    ) -> FirstStageRetriever:
        corpus, top_k = opened.first_stage(embedder)
        return cls(top_k=top_k, keep_scores=opened.keep_scores, corpus=corpus)

    def _indexed(self, otherwise: str) -> FirstStageRetriever:
        return self

    def _added(self, documents: Sequence[Document]) -> list[str]:
        ids = [str(one.id) for one in documents]
        with self._adding:
            corpus = self._made()
            check_new_ids(ids, {one.id for one in corpus.items.values() if one.id})
            new = {str(position): one for position, one in enumerate(documents, start=len(corpus.items))}
            self.corpus = PARTS.grown(corpus, new)
        return ids

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, **options: Any
    ) -> list[Document]:
        return self._ranked(self._made().search(query, top_k=call_limit(self, "top_k", options) or self.top_k))

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun, **options: Any
    ) -> list[Document]:
        return self._ranked(await self._made().asearch(query, top_k=call_limit(self, "top_k", options) or self.top_k))

    def _made(self) -> Corpus[Document]:
        if self.corpus is None:
            msg = f"this {type(self).__name__} has no documents; make it with {type(self).__name__}.from_documents(...)"
            raise InvalidInputError(msg)
        return self.corpus

    def _ranked(self, found: Sequence[tuple[Document, float]]) -> list[Document]:
        return [
            with_metadata(one, {RETRIEVAL_SCORE_KEY: score, RETRIEVAL_RANK_KEY: rank} if self.keep_scores else {})
            for rank, (one, score) in enumerate(found, start=1)
        ]
