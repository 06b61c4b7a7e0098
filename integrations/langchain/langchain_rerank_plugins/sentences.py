"""Long documents for LangChain: split into sentences with vectors in context, and retrieved with their neighbours."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import BaseDocumentTransformer, Document
from pydantic import Field, InstanceOf
from pydantic.json_schema import SkipJsonSchema

from langchain_rerank_plugins.parts import OWN, PARTS, AnyEmbedder, PipedRetriever, listed
from langchain_rerank_plugins.scored import KEEP_SCORES, with_metadata
from rerank_plugins.adapters.arguments import call_limit
from rerank_plugins.adapters.corpus import async_version
from rerank_plugins.adapters.descriptions import OPTIONS
from rerank_plugins.adapters.embedding import EmbedderOptions
from rerank_plugins.adapters.fields import Count, CountOrZero, Flag, Name
from rerank_plugins.adapters.metadata import RETRIEVAL_RANK_KEY, RETRIEVAL_SCORE_KEY
from rerank_plugins.adapters.sentences import SENTENCES_KEY, SentenceCorpus, spans_of, split_in_context
from rerank_plugins.checks.arguments import checked_call
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.retrieval.passages import FoundPassage
from rerank_plugins.text.sentences import sentence_spans

__all__ = ["LateChunkingSplitter", "SentenceRetriever"]

START_KEY, END_KEY = "start_index", "end_index"
"""Characters of a part in its document; ``start_index`` is LangChain's own name."""


class LateChunkingSplitter(EmbedderOptions, BaseDocumentTransformer):
    """Splits documents into sentences whose vectors are made in the context of the whole document (late chunking).

    LangChain's documents hold no vectors: :meth:`split_with_vectors` returns both, for a store that takes vectors
    (``FAISS.from_embeddings``). Each part has the metadata of its document, ``start_index`` and ``end_index``.
    """

    model: Name = Field(frozen=True, description=OPTIONS["model"])
    overlap: CountOrZero | None = Field(
        default=None, ge=0, description="Tokens that neighbouring windows share at least; None shares a quarter."
    )

    def split_text(self, text: str) -> list[str]:
        """Return the sentences of a text, white space around them removed; blank ones are left out."""
        parts = [text[one.start : one.end].strip() for one in sentence_spans(text)]
        return [one for one in parts if one]

    def split_with_vectors(self, documents: Sequence[Document | str]) -> list[tuple[Document, list[float]]]:
        """Return the sentences of documents or texts, each with its vector in context.

        Raises:
            InvalidInputError: ``documents`` holds something else, or the model cannot read in context.
            ScoringError: The model returned NaN or infinity.
        """
        items = listed(documents)
        found = split_in_context(self.embedder, [one.page_content for one in items], overlap=self.overlap)
        return [
            (_part(one, start, end), vector)
            for one, sentences in zip(items, found, strict=True)
            for start, end, vector in sentences
        ]

    asplit_with_vectors = async_version(split_with_vectors)

    def transform_documents(self, documents: Sequence[Document], **kwargs: Any) -> list[Document]:
        """Return the sentences of documents without vectors; the model is not run."""
        return [
            _part(one, span.start, span.end)
            for one in listed(documents)
            for span in sentence_spans(one.page_content)
            if one.page_content[span.start : span.end].strip()
        ]

    def split_documents(self, documents: Sequence[Document]) -> list[Document]:
        """Return what :meth:`transform_documents` returns; LangChain's splitters have this name."""
        return self.transform_documents(documents)

    async def atransform_documents(self, documents: Sequence[Document], **kwargs: Any) -> list[Document]:
        """Return what :meth:`transform_documents` returns, without blocking the event loop."""
        return await asyncio.to_thread(self.transform_documents, documents)


def _part(document: Document, start: int, end: int) -> Document:
    part = Document(page_content=document.page_content[start:end], metadata=document.metadata)
    return with_metadata(part, {START_KEY: start, END_KEY: end})


class SentenceRetriever(PipedRetriever):
    """Retrieves from long documents by their sentences, with neighbours; made by :meth:`from_documents`.

    A result is a part of a document: the sentences that were found and their neighbours, merged where they touch. Its
    metadata are those of the document, with ``start_index``, ``end_index``, ``retrieval_sentences`` (characters of the
    sentences that were found), ``retrieval_score`` (cosine) and ``retrieval_rank``. ``invoke(query, top_k=3)``, or
    ``k=3``, looks for three sentences, for this call.
    """

    top_k: Count = 5
    """Sentences that are found."""

    keep_scores: Flag = Field(default=True, description=KEEP_SCORES)

    corpus: Annotated[InstanceOf[SentenceCorpus[Document]], SkipJsonSchema()] | None = Field(
        default=None, exclude=True, repr=False
    )
    """What :meth:`from_documents` makes; a field, because LangChain's ``configurable_fields`` hands on nothing else."""

    @classmethod
    @checked_call(unchecked=OWN)
    def from_documents(
        cls,
        documents: Sequence[Document | str],
        *,
        embedder: AnyEmbedder,
        top_k: int = 5,
        before: int = 1,
        after: int = 1,
        in_context: bool = True,
        overlap: int | None = None,
        passage_characters: int | None = None,
        faiss_index: str | None = "Flat",
        keep_scores: bool = True,
    ) -> SentenceRetriever:
        """Index documents or texts, and return a retriever over their sentences.

        ``embedder`` may also be embeddings of this package. The other options are those of
        :class:`rerank_plugins.retrieval.SentenceIndex`, whose errors are raised here too. ``keep_scores=False`` leaves
        score, rank and ``retrieval_sentences`` out of the metadata.
        """
        made = cls(top_k=top_k, keep_scores=keep_scores)
        items = {str(position): one for position, one in enumerate(listed(documents))}
        made.corpus = SentenceCorpus.indexed(
            PARTS,
            items,
            embedder=embedder,
            before=before,
            after=after,
            in_context=in_context,
            overlap=overlap,
            passage_characters=passage_characters,
            faiss_index=faiss_index,
        )
        return made

    @checked_call()
    def save(self, folder: str | Path) -> Path:
        """Write documents, vectors and settings into a folder, and return it.

        Raises:
            InvalidInputError: A document's metadata is not plain JSON, or the folder cannot be written.
        """
        return self._made().save(PARTS, folder, top_k=self.top_k, keep_scores=self.keep_scores)

    @classmethod
    @checked_call(unchecked=OWN)
    def load(cls, folder: str | Path, *, embedder: AnyEmbedder | None = None) -> SentenceRetriever:
        """Return a retriever that :meth:`save` wrote; no document is read again.

        ``embedder`` is as in :meth:`from_documents`. None opens the one that the vectors were made with; another one is
        refused.

        Raises:
            InvalidInputError: The folder holds something else or is damaged, or the embedder is another one.
            ModelError: The embedder cannot be loaded.
        """
        corpus, top_k, keep_scores = SentenceCorpus.opened(PARTS, folder, embedder)
        return cls(top_k=top_k, keep_scores=keep_scores, corpus=corpus)

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, **options: Any
    ) -> list[Document]:
        return self._passages(self._made().search(query, top_k=call_limit(self, "top_k", options) or self.top_k))

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun, **options: Any
    ) -> list[Document]:
        return self._passages(await self._made().asearch(query, top_k=call_limit(self, "top_k", options) or self.top_k))

    def _made(self) -> SentenceCorpus[Document]:
        if self.corpus is None:
            msg = f"this {type(self).__name__} has no documents; make it with {type(self).__name__}.from_documents(...)"
            raise InvalidInputError(msg)
        return self.corpus

    def _passages(self, found: Sequence[tuple[Document, FoundPassage]]) -> list[Document]:
        return [
            with_metadata(
                # An id of its own: a store keeps one document an id.
                one.model_copy(update={"page_content": passage.text, "id": _id_of(one, passage)}),
                {START_KEY: passage.span.start, END_KEY: passage.span.end, **self._found(passage)},
            )
            for one, passage in found
        ]

    def _found(self, passage: FoundPassage) -> dict[str, Any]:
        """Return what the metadata say of how a passage was found."""
        if not self.keep_scores:
            return {}
        return {
            SENTENCES_KEY: spans_of(passage),
            RETRIEVAL_SCORE_KEY: passage.score,
            RETRIEVAL_RANK_KEY: passage.rank,
        }


def _id_of(document: Document, passage: FoundPassage) -> str | None:
    return None if document.id is None else f"{document.id}:{passage.span.start}-{passage.span.end}"
