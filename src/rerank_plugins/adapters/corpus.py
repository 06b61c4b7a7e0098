"""What a framework's first stage holds: an index, and the documents that it finds, in the framework's own form."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Concatenate, Generic, ParamSpec, TypeVar

from rerank_plugins.errors import InvalidInputError
from rerank_plugins.retrieval import FirstStage
from rerank_plugins.retrieval.first_stage import grown_stage

__all__ = ["Corpus", "async_version"]

_Item = TypeVar("_Item")
_Self = TypeVar("_Self")
_Result = TypeVar("_Result")
_P = ParamSpec("_P")


@dataclass(frozen=True)
class Corpus(Generic[_Item]):
    """An index and its documents: one value, so that a search never sees the documents of another moment.

    Attributes:
        first_stage: Finds keys of ``items``.
        items: Key to document.
        texts: Key to the text that was indexed; None if that was done elsewhere.
    """

    first_stage: FirstStage
    items: Mapping[str, _Item]
    texts: Mapping[str, str] | None

    def grown(self, items: Mapping[str, _Item], texts: Mapping[str, str]) -> Corpus[_Item]:
        """Return a corpus that has these documents too; this one stays as it is, for those who search it.

        Dense stages embed the new texts only; BM25 indexes all again, so add many at a time.

        Raises:
            InvalidInputError: Which texts are indexed is not known, or the first stage takes none.
            ScoringError: The embedder returned NaN or infinity.
        """
        if self.texts is None:
            msg = (
                "this retriever was made around a first stage, so which texts are indexed is not known; make it with "
                "FirstStageRetriever.from_documents(...) to add documents"
            )
            raise InvalidInputError(msg)
        if not items:
            return self
        return Corpus(grown_stage(self.first_stage, texts), {**self.items, **items}, {**self.texts, **texts})

    def search(self, query: str, *, top_k: int) -> list[tuple[_Item, float]]:
        """Return at most ``top_k`` documents with their scores, best first.

        Raises:
            InvalidInputError: The query is blank, or the first stage found something that is not there.
        """
        return self._found(self.first_stage.search(query, top_k=top_k))

    async def asearch(self, query: str, *, top_k: int) -> list[tuple[_Item, float]]:
        """Return what :meth:`search` returns, without blocking the event loop."""
        return self._found(await self.first_stage.asearch(query, top_k=top_k))

    def _found(self, scores: Mapping[str, float]) -> list[tuple[_Item, float]]:
        unknown = next((key for key in scores if key not in self.items), None)
        if unknown is not None:
            msg = f"the first stage found {unknown!r}, which is not among its documents; pass what was indexed"
            raise InvalidInputError(msg)
        return [(self.items[key], score) for key, score in scores.items()]


def async_version(
    method: Callable[Concatenate[_Self, _P], _Result],
) -> Callable[Concatenate[_Self, _P], Coroutine[None, None, _Result]]:
    """Return a coroutine method that does the same in a thread, for what has no waiting part of its own."""
    name = method.__name__

    @wraps(method)
    async def async_method(self: _Self, /, *args: _P.args, **kwargs: _P.kwargs) -> _Result:
        result: _Result = await asyncio.to_thread(getattr(self, name), *args, **kwargs)
        return result

    async_method.__doc__ = f"Do what :meth:`{name}` does, without blocking the event loop."
    async_method.__name__, async_method.__qualname__ = f"a{name}", f"{method.__qualname__.removesuffix(name)}a{name}"
    return async_method
