"""Sentence retrieval as every framework needs it: an index, the documents behind it, and their folder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter

from rerank_plugins.adapters.fields import Flag
from rerank_plugins.adapters.retrievers import RetrieverParts
from rerank_plugins.backends.handles import closed_on_error
from rerank_plugins.embedder import Embedder
from rerank_plugins.retrieval.attached import Attached
from rerank_plugins.retrieval.passages import FoundPassage
from rerank_plugins.retrieval.saved import saved_settings_errors
from rerank_plugins.retrieval.saved_sentences import attached_documents
from rerank_plugins.retrieval.sentences import SentenceIndex

__all__ = ["SENTENCES_KEY", "SentenceCorpus", "spans_of", "split_in_context"]

SENTENCES_KEY = "retrieval_sentences"
"""``[[start, end], ...]``, characters in the document of the sentences that were found, the best first."""

_Item = TypeVar("_Item")
_FLAG: TypeAdapter[bool] = TypeAdapter(Flag)


@dataclass(frozen=True)
class SentenceCorpus(Generic[_Item]):
    """A sentence index and its documents in the framework's own form.

    Attributes:
        index: Finds passages.
        items: Document id to document.
    """

    index: SentenceIndex
    items: Mapping[str, _Item]

    @classmethod
    def indexed(
        cls, parts: RetrieverParts[Any, _Item], items: Mapping[str, _Item], *, embedder: object, **options: Any
    ) -> SentenceCorpus[_Item]:
        """Return documents, indexed.

        Args:
            parts: The framework's.
            items: Document id to document.
            embedder: See :meth:`RetrieverParts.embedder_of`.
            **options: Of :class:`~rerank_plugins.retrieval.SentenceIndex`.
        """
        model = parts.embedder_of(embedder)
        opened = model if isinstance(model, Embedder) else Embedder(model)
        with closed_on_error([] if opened is model else [opened]):
            return cls(SentenceIndex({key: parts.text_of(one) for key, one in items.items()}, opened, **options), items)

    def search(self, query: str, *, top_k: int) -> list[tuple[_Item, FoundPassage]]:
        """Return passages with the documents that they are of, the best first."""
        return [(self.items[one.id], one) for one in self.index.search(query, top_k=top_k)]

    async def asearch(self, query: str, *, top_k: int) -> list[tuple[_Item, FoundPassage]]:
        """Return what :meth:`search` returns, without blocking the event loop."""
        return [(self.items[one.id], one) for one in await self.index.asearch(query, top_k=top_k)]

    def save(
        self, parts: RetrieverParts[Any, _Item], folder: str | Path, *, top_k: int, keep_scores: bool = True
    ) -> Path:
        """Write index, documents and the retriever's options into a folder, and return it.

        Raises:
            InvalidInputError: A document is not plain JSON, or the folder cannot be written.
        """
        documents = {key: parts.entry_of(key, one) for key, one in self.items.items()}
        settings = {"top_k": top_k, "keep_scores": keep_scores}
        return self.index._written(Path(folder).expanduser(), Attached(parts.name, settings, documents))

    @classmethod
    def opened(
        cls, parts: RetrieverParts[Any, _Item], folder: str | Path, embedder: object
    ) -> tuple[SentenceCorpus[_Item], int, bool]:
        """Return what :meth:`save` wrote, its ``top_k`` and ``keep_scores``; None opens the embedder that was saved.

        Raises:
            InvalidInputError: The folder holds something else or is damaged, or the embedder is another one.
            ModelError: The embedder cannot be loaded.
        """
        source = Path(folder).expanduser()
        index = SentenceIndex.open(source, embedder=None if embedder is None else parts.embedder_of(embedder))
        attached = attached_documents(source, name=parts.name, ids=index.ids)
        with saved_settings_errors(source):
            items = {key: parts.item_of(entry) for key, entry in attached.documents.items()}
            keep_scores = _FLAG.validate_python(attached.settings.get("keep_scores", True))
            return cls(index, items), int(attached.settings["top_k"]), keep_scores


def spans_of(found: FoundPassage) -> list[list[int]]:
    """Return the sentences of a passage as plain JSON."""
    return [[one.start, one.end] for one in found.sentences]


def split_in_context(
    embedder: Embedder, texts: Iterable[str], *, overlap: int | None, advance: Callable[[int], object] | None = None
) -> list[list[tuple[int, int, list[float]]]]:
    """Return for each text its sentences that are not blank: first character, end, and vector in context.

    Args:
        embedder: Reads them.
        texts: Texts of any length.
        overlap: See :meth:`~rerank_plugins.Embedder.encode_chunks`.
        advance: Called with the number of texts after each.
    """
    split = []
    for text in texts:
        found = embedder.encode_chunks([text], overlap=overlap)[0]
        rows = zip(found.spans, found.vectors.tolist(), strict=True)
        split.append([(one.start, one.end, vector) for one, vector in rows if text[one.start : one.end].strip()])
        if advance is not None:
            advance(1)
    return split
