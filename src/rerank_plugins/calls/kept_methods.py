"""The part of the reranking facade that keeps token vectors on disk."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from itertools import islice

from rerank_plugins.backends.kept_vectors import KeptVectors
from rerank_plugins.backends.late_interaction import LateInteractionScorer
from rerank_plugins.calls.driving import started
from rerank_plugins.calls.facts import RerankerFacts
from rerank_plugins.checks.arguments import checked_call
from rerank_plugins.checks.kinds import Count, Seconds
from rerank_plugins.embedding.kept import TokenVectorStore
from rerank_plugins.engine.deadline import Deadline
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.inputs import check_iterable, plain_text
from rerank_plugins.types import Document

__all__ = ["KeptVectorMethods"]

_BLOCK = 1_000


class KeptVectorMethods(RerankerFacts):
    """Methods that keep the token vectors of documents on disk, for later calls."""

    @property
    def vectors(self) -> TokenVectorStore | None:
        """The store that documents' vectors are taken from; None without one."""
        kept = self._kept
        return None if kept is None else kept.store

    @checked_call(unchecked=("documents",))
    def keep_vectors(
        self,
        documents: Iterable[str | Document | None],
        *,
        block_documents: Count = _BLOCK,
        deadline_s: Seconds | None = None,
    ) -> int:
        """Put the token vectors of documents that are not there yet into the store, and return how many there were.

        Blocks are written one after the other, each whole or not at all: a call that was killed is made again with the
        same documents and goes on behind what is there.

        Args:
            documents: Texts, as they will be ranked; a generator is read as it is needed. Blank ones and None have no
                vectors.
            block_documents: Documents that are held in memory, and written as one file.
            deadline_s: Seconds for all of it; None has no limit.

        Raises:
            InvalidInputError: The reranker has no store, or an element is no string, Document or None.
            VectorStoreError: The vectors cannot be kept.
            ScoringError: The model returned NaN or infinity.
            DeadlineExceededError: The time is over; whole blocks are kept.
            EngineClosedError: ``close()`` was called.
        """
        kept, deadline, n_added = self._store(), Deadline(deadline_s), 0
        for block in _blocks(documents, block_documents, deadline):
            if not (missing := kept.missing(block)):
                continue
            with started(self._backend, "embed") as call:
                n_of_block, call.usage = kept.add(missing, deadline)
            n_added += n_of_block
        return n_added

    @checked_call(unchecked=("documents",))
    async def akeep_vectors(
        self,
        documents: Iterable[str | Document | None],
        *,
        block_documents: Count = _BLOCK,
        deadline_s: Seconds | None = None,
    ) -> int:
        """Do what :meth:`keep_vectors` does, without blocking the event loop.

        A generator is read on the loop, as it is needed. If the task is cancelled, whole blocks are kept.
        """
        kept, deadline, n_added = self._store(), Deadline(deadline_s), 0
        for block in _blocks(documents, block_documents, deadline):
            # Not a wait but work: a digest of every text, and what others have added meanwhile.
            if not (missing := await asyncio.to_thread(kept.missing, block)):
                continue
            with started(self._backend, "embed") as call:
                n_of_block, call.usage = await kept.aadd(missing, deadline)
            n_added += n_of_block
        return n_added

    def _store(self) -> KeptVectors:
        kept = self._kept
        if kept is None:
            msg = "this reranker has no store: open it with cache=TokenVectorStore(folder)"
            raise InvalidInputError(msg)
        return kept

    @property
    def _kept(self) -> KeptVectors | None:
        return self._backend.kept if isinstance(self._backend, LateInteractionScorer) else None


def _blocks(documents: object, block_documents: int, deadline: Deadline) -> Iterator[list[str]]:
    """Yield the texts of each block, as long as there is time."""
    texts = _texts(check_iterable(documents, name="documents"))
    while block := list(islice(texts, block_documents)):
        deadline.check()
        yield block


def _texts(documents: Iterable[object]) -> Iterator[str]:
    for place, one in enumerate(documents):
        text = one.text if isinstance(one, Document) else one
        if text is None:
            continue
        if not isinstance(text, str):
            msg = f"documents[{place}] must be a string, a Document or None, got {type(one).__name__}"
            raise InvalidInputError(msg)
        yield plain_text(text)
