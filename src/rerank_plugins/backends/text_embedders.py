"""What a backend of vectors does not do itself: instructions, lengths, equal texts, checks of its numbers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from copy import copy

import numpy as np
import numpy.typing as npt

from rerank_plugins.backends.leased import LeasedBackend
from rerank_plugins.backends.texts import counted
from rerank_plugins.backends.vectors import BackendVectors, EmbedOptions, TextEmbedder
from rerank_plugins.catalog.spec import Instruction, ModelSpec
from rerank_plugins.engine.registry import Lease
from rerank_plugins.errors import ScoringError
from rerank_plugins.text.words import cut_words
from rerank_plugins.types import CallUsage

__all__ = ["TextEmbedderBackend"]


class TextEmbedderBackend:
    """Any backend as an embedder needs it. Safe from any number of threads if the backend is.

    Each text gets its instruction in front and loses its end if both are longer than the backend reads; equal texts of
    a call run once; its numbers must be finite, one vector a text; whatever it raises besides errors of this package is
    a ScoringError.

    Args:
        lease: The share in the backend.
        instruction: Texts put in front of queries and documents.
        max_length: Words of a text, its instruction included.
    """

    def __init__(self, lease: Lease[LeasedBackend[TextEmbedder]], instruction: Instruction, *, max_length: int) -> None:
        self._lease, self._instruction, self._max_length = lease, instruction, max_length
        self.spec: ModelSpec = lease.value.backend.spec

    @property
    def device(self) -> str:
        """Where the backend runs, in its own words."""
        return self._lease.value.device

    def on(self, lease: Lease[LeasedBackend[TextEmbedder]]) -> TextEmbedderBackend:
        """Return the same on another share in the same backend."""
        made = copy(self)
        made._lease = lease
        return made

    def embed(self, texts: Sequence[str], options: EmbedOptions) -> BackendVectors:
        """Return a vector per text.

        Raises:
            DeadlineExceededError: The time is over.
            ScoringError: The backend raised something, or its numbers cannot be vectors.
            EngineClosedError: The embedder was closed.
        """
        leased, start_s = self._lease.value, time.perf_counter()
        shown = self._shown(texts, options)
        options.deadline.check()
        different = list(dict.fromkeys(shown))
        with counted(leased, inputs=len(shown), missing=len(different)):
            found = leased.backend.embed(different, options)
            options.deadline.check()
            return self._finished(shown, different, found, time.perf_counter() - start_s)

    async def aembed(self, texts: Sequence[str], options: EmbedOptions) -> BackendVectors:
        """Return what :meth:`embed` returns, without blocking the event loop."""
        leased, start_s = self._lease.value, time.perf_counter()
        shown = await asyncio.to_thread(self._shown, texts, options)
        options.deadline.check()
        different = list(dict.fromkeys(shown))
        with counted(leased, inputs=len(shown), missing=len(different)):
            found = await options.deadline.await_work(leased.backend.aembed(different, options))
            return self._finished(shown, different, found, time.perf_counter() - start_s)

    def truncated(self, texts: Sequence[str], *, is_query: bool) -> list[bool]:
        """Return of each text whether the backend gets it without its end."""
        before = self._instruction.query if is_query else self._instruction.document
        return [len(cut_words(before + text, self._max_length)[0]) < len(before + text) for text in texts]

    def close(self) -> None:
        """Nothing: whoever holds the share in the backend gives it back."""

    def _shown(self, texts: Sequence[str], options: EmbedOptions) -> list[str]:
        before = self._instruction.query if options.is_query else self._instruction.document
        return [cut_words(before + text, self._max_length)[0] for text in texts]

    def _finished(
        self, shown: list[str], different: list[str], found: BackendVectors, total_s: float
    ) -> BackendVectors:
        rows = _checked(found, n=len(different), name=self.spec.id)
        place = {text: number for number, text in enumerate(different)}
        usage = found.usage or CallUsage(
            tokenize_ms=0.0,
            queue_ms=0.0,
            forward_ms=total_s * 1e3,
            inputs=len(shown),
            tokens=0,
            reused_inputs=len(shown) - len(different),
        )
        return BackendVectors(rows[[place[text] for text in shown]] if len(rows) else rows, usage)


def _checked(found: BackendVectors, *, n: int, name: str) -> npt.NDArray[np.float32]:
    """Return one finite vector per text, or raise ScoringError."""
    rows = np.asarray(found.rows, dtype=np.float32)
    if rows.ndim != 2 or len(rows) != n:
        msg = f"backend {name!r} gave numbers of the shape {rows.shape} for {n} texts; one vector a text is ({n}, dim)"
        raise ScoringError(msg)
    bad = ~np.isfinite(rows).all(axis=1)
    if bad.any():
        msg = f"backend {name!r} gave NaN or infinity for {int(bad.sum())} of {n} texts"
        raise ScoringError(msg)
    return rows
