"""The contract between the engine and the scorers: ids in, numbers out.

The engine packs, schedules and restores order; it knows a scorer only through :class:`Scorer`.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch

__all__ = ["Batch", "PairSegments", "PrefixSharer", "PrefixSharing", "Scorer", "ThreadSafe", "TokenInput"]


@dataclass(frozen=True, slots=True)
class PairSegments:
    """Where the two texts lie in a pair: half-open token ranges, special tokens excluded."""

    query_start: int
    query_end: int
    document_start: int
    document_end: int


@dataclass(frozen=True, slots=True, eq=False)
class TokenInput:
    """One model input.

    Attributes:
        ids: Token ids with special tokens. Shape: (tokens,), int32.
        type_ids: Segment ids (0 query, 1 document for BERT). Shape: (tokens,), int32.
        segments: Where query and document lie; None for a single text.
        n_unseen: How many of the last tokens no token attends to, themselves included (ColBERT's query augmentation).
    """

    ids: npt.NDArray[np.int32]
    type_ids: npt.NDArray[np.int32]
    segments: PairSegments | None = None
    n_unseen: int = 0

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def prefix_key(self) -> Hashable:
        """The tokens that pairs of one query with one prompt begin with, up to the query's last token, as a key.

        Those between query and document are left out: the last of them may be one token with the document's first.
        """
        return b"" if self.segments is None else self.ids[: self.segments.query_end].tobytes()

    @property
    def second_start(self) -> int:
        """Where the second text of a pair begins with its special tokens: the whole length for a single text.

        It is the last token between the texts that is the input's first one (``<s> q </s> <s> d </s>``); without such a
        token the one behind the query's own last (``[CLS] q [SEP] d [SEP]``).
        """
        if self.segments is None:
            return len(self)
        end, start = self.segments.query_end, self.segments.document_start
        found = np.flatnonzero(self.ids[end:start] == self.ids[0])
        return int(end + found[-1]) if len(found) else min(end + 1, start)

    @property
    def key(self) -> Hashable:
        """What the scores of an input depend on: inputs with equal keys get equal scores."""
        return self.ids.tobytes(), self.type_ids.tobytes(), self.segments, self.n_unseen

    @property
    def cache_key(self) -> Hashable:
        """The same with the ids as a digest: 32 bytes that no two inputs have in common, ever."""
        digest = blake2b(self.ids.tobytes(), digest_size=32)
        digest.update(b"|")
        digest.update(self.type_ids.tobytes())
        return digest.digest(), self.segments, self.n_unseen


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Inputs of one forward pass, without padding: a scorer that must pad does it itself.

    Attributes:
        inputs: At least one input.
        options: Settings of the calls that the batch was made from; only calls with equal options
            share a batch. None for scorers that have none.
        shares_prefixes: Whether tokens that several inputs begin with may be computed once, where the scorer can.
    """

    inputs: Sequence[TokenInput]
    options: Hashable = None
    shares_prefixes: bool = True

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def lengths(self) -> list[int]:
        """Tokens of each input."""
        return [len(one) for one in self.inputs]

    @property
    def unseen(self) -> list[int] | None:
        """How many of each input's last tokens no token attends to; None if all inputs are seen whole."""
        counts = [one.n_unseen for one in self.inputs]
        return counts if any(counts) else None


@runtime_checkable
class Scorer(Protocol):
    """Runs one model. ``forward`` is called from one thread at a time, unless it is :class:`ThreadSafe`."""

    @property
    def is_padded(self) -> bool:
        """Whether a batch costs ``max(lengths) * n`` tokens (True) or ``sum(lengths)`` (False)."""
        ...

    def forward(self, batch: Batch) -> torch.Tensor | npt.NDArray[np.float32]:
        """Return one row per input, in order: a tensor on the model's device, or an array of what runs without torch.

        Shape: (inputs, width), float32.
        """
        ...

    def close(self) -> None:
        """Free the weights. The scorer is not used afterwards."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefixSharing:
    """Whether a scorer computes the tokens that several inputs begin with once.

    Attributes:
        is_used: Whether it does.
        reason: Why not; empty if it does.
    """

    is_used: bool
    reason: str = ""


@runtime_checkable
class Compilable(Protocol):
    """A scorer that torch.compile can make faster."""

    def compile(self) -> str:
        """Compile what can be compiled; return why nothing was, or an empty string."""
        ...


@runtime_checkable
class ThreadSafe(Protocol):
    """A scorer whose ``forward`` may run some inputs of a batch in each of several threads at once."""

    @property
    def is_thread_safe(self) -> bool:
        """Whether it may, and is faster so than with torch's own threads."""
        ...


@runtime_checkable
class PaddingExplainer(Protocol):
    """A scorer that tells why its batches are padded."""

    @property
    def padding_reason(self) -> str:
        """The reason; empty if they are not."""
        ...


@runtime_checkable
class PrefixSharer(Protocol):
    """A scorer that tells about common beginnings; others run every input whole."""

    @property
    def prefix_sharing(self) -> PrefixSharing:
        """Whether it computes them once."""
        ...
