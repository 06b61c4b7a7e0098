"""The seam for embedders: texts in, vectors out, whatever stands behind it.

Instructions, cut dimensions, unit length, the query cache, both framework adapters and retrieval come with
:class:`~rerank_plugins.embedder.Embedder`.
"""

from __future__ import annotations

import asyncio
import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from rerank_plugins.backends.protocol import NO_LIMIT
from rerank_plugins.catalog.spec import Instruction, ModelSpec
from rerank_plugins.checks.arguments import checked_call
from rerank_plugins.checks.kinds import Count
from rerank_plugins.engine.deadline import Deadline
from rerank_plugins.errors import ScoringError
from rerank_plugins.types import CallUsage

__all__ = ["BackendVectors", "EmbedOptions", "SimpleTextEmbedder", "TextEmbedder", "embedder_spec"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EmbedOptions:
    """What one call asks of a backend.

    Attributes:
        is_query: Whether the texts are queries; else they are documents.
        deadline: When the call gives up, as in :class:`~rerank_plugins.backends.protocol.ScoreOptions`.
    """

    is_query: bool
    deadline: Deadline = field(default_factory=lambda: Deadline(None))


@dataclass(frozen=True, slots=True, eq=False)
class BackendVectors:
    """What a backend gives back for the texts of a call.

    Attributes:
        rows: One vector per text, in order. Shape: (n, dim), float32; (0, 0) for no text.
        usage: What the call took; None if the backend does not tell.
    """

    rows: npt.NDArray[np.float32]
    usage: CallUsage | None = None


@runtime_checkable
class TextEmbedder(Protocol):
    """Makes vectors of texts: the protocol of a backend. :class:`SimpleTextEmbedder` needs only one method of you."""

    @property
    def spec(self) -> ModelSpec:
        """What is known about the model; see :func:`embedder_spec`."""
        ...

    @property
    def device(self) -> str:
        """Where it runs, for people: a device, a host; empty if that says nothing."""
        ...

    def embed(self, texts: Sequence[str], options: EmbedOptions) -> BackendVectors:
        """Return a vector per text; called from any thread. The instruction is in the texts already.

        Raises:
            DeadlineExceededError: The time of ``options.deadline`` is over.
            ScoringError: There are no vectors.
        """
        ...

    async def aembed(self, texts: Sequence[str], options: EmbedOptions) -> BackendVectors:
        """Return what :meth:`embed` returns, without blocking the event loop; a cancelled task drops the work."""
        ...

    def close(self) -> None:
        """Give back what the backend holds. It is not used afterwards."""
        ...


class SimpleTextEmbedder(ABC):
    """A backend of which only :meth:`embed_texts` and :attr:`spec` must be written.

    Attributes:
        spec: What is known about the model, see :func:`embedder_spec`.
        device: Where it runs, for people.
        batch_texts: Texts given to :meth:`embed_texts` at most; between batches the deadline is looked at.
    """

    spec: ModelSpec
    device: str = ""
    batch_texts: int = 64

    @abstractmethod
    def embed_texts(self, texts: Sequence[str], *, is_query: bool) -> Sequence[Sequence[float]]:
        """Return one vector per text, all of one length; at least one text. From any thread."""

    def embed(self, texts: Sequence[str], options: EmbedOptions) -> BackendVectors:
        """Return the vectors of texts, batch by batch."""
        return self._embedded(texts, options, threading.Event())

    async def aembed(self, texts: Sequence[str], options: EmbedOptions) -> BackendVectors:
        """Return the vectors of texts, made in a thread. Override it where there is something to await."""
        given_up = threading.Event()
        try:
            return await asyncio.to_thread(self._embedded, texts, options, given_up)
        finally:
            given_up.set()

    def close(self) -> None:  # noqa: B027
        """Give back what the backend holds: nothing, here."""

    def _embedded(self, texts: Sequence[str], options: EmbedOptions, given_up: threading.Event) -> BackendVectors:
        rows = []
        for start in range(0, len(texts), self.batch_texts):
            if given_up.is_set():
                break
            options.deadline.check()
            batch = texts[start : start + self.batch_texts]
            rows.append(self._batch(batch, is_query=options.is_query))
        if len({one.shape[1:] for one in rows}) > 1:
            msg = f"{self.spec.id!r} gave vectors of different lengths: {sorted({one.shape[1] for one in rows})}"
            raise ScoringError(msg)
        return BackendVectors(np.concatenate(rows) if rows else np.zeros((0, 0), dtype=np.float32))

    def _batch(self, batch: Sequence[str], *, is_query: bool) -> npt.NDArray[np.float32]:
        try:
            rows = np.asarray(self.embed_texts(batch, is_query=is_query), dtype=np.float32)
        except (StopIteration, TypeError, ValueError) as error:
            # StopIteration: no future of asyncio carries it, and whoever awaits would wait for ever.
            msg = f"{self.spec.id!r} failed with {type(error).__name__}: {error}"
            raise ScoringError(msg) from error
        if rows.ndim != 2 or len(rows) != len(batch):
            msg = f"{self.spec.id!r} gave numbers of the shape {rows.shape} for {len(batch)} texts, not one vector each"
            raise ScoringError(msg)
        return rows


@checked_call()
def embedder_spec(
    name: str,
    *,
    dimensions: Count | None = None,
    normalize: bool = True,
    instructions: Mapping[str, Instruction] = MappingProxyType({}),
    max_length: Count | None = None,
    revision: str | None = None,
    license: str = "",  # noqa: A002
) -> ModelSpec:
    """Return what is known about the model of a backend.

    Args:
        name: How it is called in messages, records and caches, such as ``acme/hash-embedder``.
        dimensions: Length of a vector; None if it shows only at run time.
        normalize: Whether vectors are scaled to length 1.
        instructions: Task name to the texts that are put in front of queries and documents.
        max_length: Words of a text, its instruction included, that it reads; longer texts lose their end. None: no
            limit.
        revision: What tells versions apart whose vectors differ.
        license: SPDX identifier.
    """
    return ModelSpec(
        id=name,
        kind="embedder",
        family=name.split("/", 1)[0],
        scorer="backend",
        default_max_length_tokens=max_length or NO_LIMIT,
        max_length_tokens=max_length or NO_LIMIT,
        license=license,
        revision=revision,
        normalize=normalize,
        dimensions=dimensions,
        instructions=instructions,
    )
