"""Retrieval from long documents by their sentences: the sentence that answers, and its neighbours."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from typing import Annotated

import numpy as np

from rerank_plugins.checks.arguments import checked_call
from rerank_plugins.checks.kinds import Count, Within
from rerank_plugins.embedder import Embedder
from rerank_plugins.embedding.chunk_checks import check_chunks, check_reads_in_context
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.retrieval.attached import Attached
from rerank_plugins.retrieval.dense import DenseIndex
from rerank_plugins.retrieval.first_stage import check_texts_by_id
from rerank_plugins.retrieval.passages import FoundPassage, passages_of
from rerank_plugins.retrieval.saved_sentences import SavedSentences, read_sentences, write_sentences
from rerank_plugins.retrieval.sentence_vectors import sentence_vectors
from rerank_plugins.types import WindowSpan

__all__ = ["Neighbours", "SentenceIndex"]

Neighbours = Annotated[int, Within(0)]


class SentenceIndex:
    """Finds sentences of long documents by vectors made in the context of the whole text, in a FAISS index.

    Each document is read once, whatever its length (:meth:`~rerank_plugins.embedder.Embedder.encode_chunks`). A search
    returns the best sentences with their neighbours, merged where they touch. Any number of threads may search one
    index.

    Args:
        texts: Document id to text.
        embedder: Makes the vectors. One that pools by the mean or was trained with landmarks, unless ``in_context`` is
            off: see :meth:`~rerank_plugins.embedder.Embedder.encode_chunks`.
        chunks: Document id to the characters of its chunks, which may overlap; blank ones are left out. None splits
            into sentences.
        before: Neighbours before each sentence that are returned with it.
        after: Neighbours after it likewise.
        in_context: Whether vectors are made in context. If not, each sentence is embedded by itself, which any
            embedder does.
        overlap: See :meth:`~rerank_plugins.embedder.Embedder.encode_chunks`.
        passage_characters: Characters of plain passages of whole sentences: each is embedded by itself too, and its
            vector is added to those of its sentences, both of length 1, for twice the work. A score is then the cosine
            with that sum; what it brought on the sets that were measured stands in ``docs/long-retrieval.md``. None
            adds nothing.
        faiss_index: See :class:`~rerank_plugins.retrieval.dense.DenseIndex`.
        batch_size: Documents that are read per call.
        advance: Called with the number of documents after each call, for a progress bar.

    Raises:
        InvalidInputError: ``texts`` or ``chunks`` holds something else, the embedder cannot read in context, or FAISS
            knows no such index.
        MissingExtraError: FAISS is not installed.
    """

    @checked_call(unchecked=("texts", "chunks"))
    def __init__(
        self,
        texts: Mapping[str, str],
        embedder: Embedder,
        *,
        chunks: Mapping[str, Sequence[WindowSpan | tuple[int, int]]] | None = None,
        before: Neighbours = 1,
        after: Neighbours = 1,
        in_context: bool = True,
        overlap: Neighbours | None = None,
        passage_characters: Count | None = None,
        faiss_index: str | None = "Flat",
        batch_size: Count = 4,
        advance: Callable[[int], object] | None = None,
    ) -> None:
        checked = check_texts_by_id(texts)
        spans = _checked_spans(checked, chunks)
        if in_context:
            check_reads_in_context(embedder.spec)
        settings = {
            "before": before,
            "after": after,
            "in_context": in_context,
            "overlap": overlap,
            "passage_characters": passage_characters,
        }
        blocks = []
        ids = list(checked)
        for start in range(0, len(ids), batch_size):
            block = ids[start : start + batch_size]
            of_block = {key: (checked[key], spans[key]) for key in block}
            blocks.append(sentence_vectors(of_block, embedder, settings))
            if advance is not None:
                advance(len(block))
        filled = [one for one in blocks if len(one)]
        vectors = np.concatenate(filled) if filled else np.zeros((0, 0), dtype=np.float32)
        saved = SavedSentences(
            texts=checked,
            chunks=spans,
            vectors=vectors,
            settings=settings,
            faiss_index=faiss_index,
        )
        self._become(saved, embedder)

    def _become(self, saved: SavedSentences, embedder: Embedder) -> None:
        self._texts, self._chunks = saved.texts, saved.chunks
        self._before, self._after = int(saved.settings["before"]), int(saved.settings["after"])
        self._ids = list(saved.texts)
        self._starts = [0, *accumulate(len(self._chunks[key]) for key in self._ids)]
        rows = {str(row): "" for row in range(self._starts[-1])}
        vectors = saved.vectors if rows else None
        self._dense = DenseIndex(rows, embedder, faiss_index=saved.faiss_index, vectors=vectors)
        self._saved = replace(saved, vectors=self._dense.vectors)

    @checked_call()
    def search(
        self, query: str, *, top_k: Count = 5, before: Neighbours | None = None, after: Neighbours | None = None
    ) -> list[FoundPassage]:
        """Return the ``top_k`` sentences nearest to the query with their neighbours, the best passage first.

        Args:
            query: What is looked for.
            top_k: Sentences that are found; where their neighbours touch there are fewer passages.
            before: Neighbours before each sentence, for this search; None takes the index's.
            after: Neighbours after it likewise.

        Raises:
            InvalidInputError: The query is blank, or an option cannot work.
            ScoringError: The embedder returned NaN or infinity.
        """
        return self._passages(self._dense.search(query, top_k=top_k), before, after)

    @checked_call()
    def search_many(
        self,
        queries: Sequence[str],
        *,
        top_k: Count = 5,
        before: Neighbours | None = None,
        after: Neighbours | None = None,
    ) -> list[list[FoundPassage]]:
        """Return what :meth:`search` returns for each query; they are embedded together."""
        return [self._passages(found, before, after) for found in self._dense.search_many(queries, top_k=top_k)]

    @checked_call()
    async def asearch(
        self, query: str, *, top_k: Count = 5, before: Neighbours | None = None, after: Neighbours | None = None
    ) -> list[FoundPassage]:
        """Return what :meth:`search` returns, without blocking the event loop."""
        found = await self._dense.asearch(query, top_k=top_k)
        return await asyncio.to_thread(self._passages, found, before, after)

    @checked_call()
    def save(self, folder: str | Path) -> Path:
        """Write texts, spans, vectors and settings into a folder, and return it; nothing in it could run code.

        Args:
            folder: New, empty, or an earlier saved index, which is replaced.

        Raises:
            InvalidInputError: The folder holds something else, or cannot be written.
        """
        return self._written(Path(folder).expanduser(), None)

    def _written(self, folder: Path, attached: Attached | None) -> Path:
        return write_sentences(folder, self._saved, self._dense, attached=attached)

    @classmethod
    @checked_call(unchecked=("embedder",))
    def open(cls, folder: str | Path, *, embedder: Embedder | str | Path | None = None) -> SentenceIndex:
        """Return an index that :meth:`save` wrote; no document is read again.

        Args:
            folder: The folder.
            embedder: What the vectors were made with, an object or the name of its model; None opens the model that was
                saved by its name.

        Raises:
            InvalidInputError: The folder holds something else or is damaged, or the embedder is another one.
            ModelError: The embedder cannot be loaded.
            MissingExtraError: FAISS is not installed.
        """
        made = cls.__new__(cls)
        made._become(*read_sentences(Path(folder).expanduser(), embedder))
        return made

    @property
    def ids(self) -> list[str]:
        """The documents' ids, in their order."""
        return list(self._ids)

    @property
    def embedder(self) -> Embedder:
        """The embedder that makes the vectors."""
        return self._dense.embedder

    @property
    def chunks(self) -> dict[str, tuple[WindowSpan, ...]]:
        """Document id to the characters of its sentences."""
        return dict(self._chunks)

    def __len__(self) -> int:
        """Return the number of sentences."""
        return len(self._dense)

    def _passages(self, found: Mapping[str, float], before: int | None, after: int | None) -> list[FoundPassage]:
        hits = []
        for row, score in found.items():
            number = int(np.searchsorted(self._starts, int(row), side="right")) - 1
            hits.append((self._ids[number], int(row) - self._starts[number], score))
        context = self._before if before is None else before, self._after if after is None else after
        return passages_of(hits, self._texts, self._chunks, before=context[0], after=context[1])


def _checked_spans(texts: Mapping[str, str], chunks: object) -> dict[str, tuple[WindowSpan, ...]]:
    """Return the chunks of each document, in order of their place; blank ones are left out."""
    if chunks is None:
        spans = check_chunks(list(texts.values()), None)
    elif not isinstance(chunks, Mapping):
        msg = f"chunks must map each document id of texts to its spans, got {type(chunks).__name__}"
        raise InvalidInputError(msg)
    elif differing := set(chunks) ^ set(texts):
        one = min(differing, key=str)
        where = "chunks and not in texts" if one in chunks else "texts and not in chunks"
        msg = f"chunks must map each document id of texts to its spans: {one!r} is in {where}"
        raise InvalidInputError(msg)
    else:
        spans = check_chunks(list(texts.values()), [chunks[key] for key in texts], ids=list(texts))
    return {
        key: tuple(one for one in sorted(of, key=_place) if text[one.start : one.end].strip())
        for (key, text), of in zip(texts.items(), spans, strict=True)
    }


def _place(span: WindowSpan) -> tuple[int, int]:
    return span.start, span.end
