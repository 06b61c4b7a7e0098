"""The packed row: the tokens of a batch one sequence after another, without padding (a varlen batch).

This is the one description of such a row. Models read its token ids, attention its sequence lengths, pooling the places
of its tokens; what follows from them is computed at its first use and kept for the other layers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from rerank_plugins.nn.prefixes import PrefixGroup
from rerank_plugins.protocols import TokenInput
from rerank_plugins.system.lazy import computed_once

__all__ = ["PackedRow", "Run"]


class Run(NamedTuple):
    """Adjacent sequences of equal length with the same shared prefix, or none.

    Attributes:
        start: Their first token.
        length: Tokens of each.
        sequences: How many.
        prefix: First token of the shared prefix, and the position behind its last; None if there is none.
    """

    start: int
    length: int
    sequences: int
    prefix: tuple[int, int] | None = None

    @property
    def n_prefix(self) -> int:
        """Tokens of the shared prefix."""
        return 0 if self.prefix is None else self.prefix[1] - self.prefix[0]


class PackedRow:
    """The tokens of a batch in one row.

    A sequence is an input, or a prefix that several inputs share, or the rest of an input behind its shared prefix.

    Args:
        lengths: Tokens of each sequence, in the order of the row.
        device: Where the model computes.
        prefixes: For each sequence the earlier one that is its shared prefix, to which it attends; None for a sequence
            without one. By default there are no shared prefixes.
        inputs: For each sequence the input that its tokens come from. Empty if nobody reads the tokens.
        last_sequences: For each input of the batch the sequence that holds its last token; None if each sequence is an
            input.
        documents: For each sequence its first document token and the position behind the last, from the start of the
            sequence. None reads them from ``inputs``.
    """

    def __init__(
        self,
        lengths: list[int],
        device: torch.device,
        *,
        prefixes: list[int | None] | None = None,
        inputs: Sequence[TokenInput] = (),
        last_sequences: list[int] | None = None,
        documents: list[tuple[int, int]] | None = None,
    ) -> None:
        self.lengths, self.device = lengths, device
        self.prefixes: list[int | None] = [None] * len(lengths) if prefixes is None else prefixes
        self.inputs = inputs
        self._last_sequences = last_sequences
        self._documents = documents
        self._masks: dict[tuple[int, int, int | None], torch.Tensor] = {}
        self._hiding: dict[tuple[int, int], torch.Tensor] = {}

    @classmethod
    def of(
        cls, inputs: Sequence[TokenInput], device: torch.device, *, groups: Sequence[PrefixGroup] | None = None
    ) -> PackedRow:
        """Return inputs as one row, in their own order, or in that of ``groups`` with each shared prefix once.

        Args:
            inputs: At least one.
            device: Where the model computes.
            groups: Each input in one group, as :func:`~rerank_plugins.nn.prefixes.prefix_groups` returns them.
        """
        if groups is None or not any(group.tokens for group in groups):
            return cls([len(one) for one in inputs], device, inputs=inputs)
        lengths: list[int] = []
        parts: list[TokenInput] = []
        prefixes: list[int | None] = []
        last_sequences = [0] * len(inputs)
        for group in groups:
            prefix = None
            if group.tokens:
                prefix = len(lengths)
                lengths.append(group.tokens)
                parts.append(inputs[group.members[0]])
                prefixes.append(None)
            for index in group.members:
                last_sequences[index] = len(lengths)
                lengths.append(len(inputs[index]) - group.tokens)
                parts.append(inputs[index])
                prefixes.append(prefix)
        return cls(lengths, device, prefixes=prefixes, inputs=parts, last_sequences=last_sequences)

    @computed_once
    def tokens(self) -> int:
        """Tokens of all sequences."""
        return sum(self.lengths)

    @computed_once
    def is_shared(self) -> bool:
        """Whether a sequence has a shared prefix."""
        return any(prefix is not None for prefix in self.prefixes)

    @computed_once
    def prefix_lengths(self) -> list[int]:
        """Tokens of each sequence's shared prefix; 0 without one."""
        return [0 if prefix is None else self.lengths[prefix] for prefix in self.prefixes]

    @computed_once
    def ids(self) -> npt.NDArray[np.int32]:
        """Token ids. Shape: (tokens,)."""
        return np.concatenate(list(self._own(one.ids for one in self.inputs)))

    @computed_once
    def position_ids(self) -> npt.NDArray[np.int64]:
        """The position of each token in its own input, from 0. Shape: (tokens,)."""
        lengths = np.array(self.lengths)
        before = np.cumsum(lengths) - lengths - np.array(self.prefix_lengths)
        positions: npt.NDArray[np.int64] = np.arange(self.tokens, dtype=np.int64) - np.repeat(before, lengths)
        return positions

    def token_tensors(
        self, *, has_segments: bool, position_ids: npt.NDArray[np.int64] | None = None, spare: int = 0
    ) -> torch.Tensor:
        """Return token ids, position ids and segment ids, by one copy to the device that does not wait on CUDA.

        Args:
            has_segments: Whether the model reads segment ids; if not they are 0.
            position_ids: As the model counts them. Shape: (tokens,). None takes :attr:`position_ids`.
            spare: Zeros to put behind the tokens.

        Returns:
            Shape: (3, 1, tokens + spare), int64.
        """
        rows = np.zeros((3, 1, self.tokens + spare), dtype=np.int64)
        ids, positions, types = rows[:, 0, : self.tokens]
        np.concatenate(list(self._own(one.ids for one in self.inputs)), out=ids)
        positions[:] = self.position_ids if position_ids is None else position_ids
        if has_segments:
            np.concatenate(list(self._own(one.type_ids for one in self.inputs)), out=types)
        return self.on_device(rows)

    def on_device(self, values: npt.NDArray[np.int64]) -> torch.Tensor:
        """Return values of tokens as a tensor on the device. Same shape."""
        tensor = torch.from_numpy(values)
        if self.device.type == "cuda":
            # The caching host allocator hands the same pinned blocks out again when their copies are done.
            return tensor.pin_memory().to(self.device, non_blocking=True)
        return tensor.to(self.device)

    def _own(self, values: Iterable[npt.NDArray[np.int32]]) -> Iterable[npt.NDArray[np.int32]]:
        """Return of each sequence's input what belongs to the sequence itself, without copying."""
        if self._last_sequences is None:
            return values
        places = zip(values, self.prefix_lengths, self.lengths, strict=True)
        return (one[start : start + length] for one, start, length in places)

    @computed_once
    def documents(self) -> list[tuple[int, int]]:
        """Of each sequence the first document token and the position behind the last, from the sequence's start."""
        if self._documents is not None:
            return self._documents
        found = []
        for one, start, length in zip(self.inputs, self.prefix_lengths, self.lengths, strict=True):
            document = one.segments and (one.segments.document_start, one.segments.document_end)
            first, end = (min(max(place - start, 0), length) for place in document or (len(one), len(one)))
            found.append((first, end))
        return found

    def with_documents(self, document_lengths: Sequence[int]) -> PackedRow:
        """Return the row with other numbers of document tokens in its sequences; it has no token ids."""
        changes = [n - (end - start) for n, (start, end) in zip(document_lengths, self.documents, strict=True)]
        return PackedRow(
            [length + change for length, change in zip(self.lengths, changes, strict=True)],
            self.device,
            prefixes=self.prefixes,
            last_sequences=self._last_sequences,
            documents=[(start, start + n) for n, (start, _) in zip(document_lengths, self.documents, strict=True)],
        )

    @computed_once
    def starts(self) -> torch.Tensor:
        """The position of each sequence's first token. Shape: (sequences,), int64, on the device."""
        starts = torch.tensor([0, *self.lengths[:-1]]).cumsum(0)
        return starts.to(self.device, non_blocking=True)

    @computed_once
    def ends(self) -> torch.Tensor:
        """The position behind each sequence. Shape: (sequences,), int64, on the device."""
        return torch.tensor(self.lengths).cumsum(0).to(self.device, non_blocking=True)

    @computed_once
    def last_tokens(self) -> torch.Tensor:
        """The position of the last token of each input of the batch. Shape: (inputs,), int64, on the device."""
        return (self.ends if self._last_sequences is None else self.ends[self._last_sequences]) - 1

    @computed_once
    def sequence_of_token(self) -> torch.Tensor:
        """The sequence that each token belongs to. Shape: (tokens,), int64, on the device."""
        sequences = torch.repeat_interleave(torch.arange(len(self.lengths)), torch.tensor(self.lengths))
        return sequences.to(self.device, non_blocking=True)

    @computed_once
    def cu_seqlens(self) -> torch.Tensor:
        """0 and the position behind each sequence. Shape: (sequences + 1,), int32, on the device."""
        return torch.nn.functional.pad(self.ends, (1, 0)).to(torch.int32)

    @computed_once
    def one_each(self) -> torch.Tensor:
        """``cu_seqlens`` of one token a sequence: 0, 1, 2, ... Shape: (sequences + 1,), int32, on the device."""
        return torch.arange(len(self.lengths) + 1, dtype=torch.int32, device=self.device)

    @computed_once
    def max_seqlen(self) -> int:
        """Tokens of the longest sequence."""
        return max(self.lengths)

    @computed_once
    def key_rows(self) -> torch.Tensor | None:
        """The positions of the keys of all sequences, a shared prefix before each; None if nothing is shared.

        Shape: (sum of keys,), int64, on the device.
        """
        if not self.is_shared:
            return None
        rows = []
        for run in self.runs:
            prefix = torch.arange(*(run.prefix or (0, 0)))
            for start in range(run.start, run.start + run.length * run.sequences, run.length):
                rows += [prefix, torch.arange(start, start + run.length)]
        return torch.cat(rows).to(self.device, non_blocking=True)

    @computed_once
    def key_lengths(self) -> list[int]:
        """Keys that each sequence attends to: its own tokens and its shared prefix's."""
        return [length + prefix for length, prefix in zip(self.lengths, self.prefix_lengths, strict=True)]

    @computed_once
    def key_cu_seqlens(self) -> torch.Tensor:
        """0 and the position behind each sequence's keys. Shape: (sequences + 1,), int32, on the device."""
        return torch.tensor([0, *self.key_lengths]).cumsum(0).to(torch.int32).to(self.device, non_blocking=True)

    @computed_once
    def runs(self) -> list[Run]:
        """The runs of adjacent sequences of equal length with the same shared prefix."""
        spans: list[tuple[int, int]] = []
        for length in self.lengths:
            start = spans[-1][1] if spans else 0
            spans.append((start, start + length))
        runs = []
        start = 0
        for (length, prefix), group in groupby(zip(self.lengths, self.prefixes, strict=True)):
            count = sum(1 for _ in group)
            runs.append(Run(start, length, count, None if prefix is None else spans[prefix]))
            start += length * count
        return runs

    def mask(self, run: Run, *, window: int | None, dtype: torch.dtype) -> torch.Tensor:
        """Return what is added to a run's causal products, the same in every layer.

        Shape: (tokens, prefix and own tokens).
        """
        n_keys = run.length + run.n_prefix
        key = (run.length, n_keys, window)
        if key not in self._masks:
            positions = torch.arange(n_keys, device=self.device)
            distance = positions[-run.length :].unsqueeze(1) - positions
            hidden = distance < 0 if window is None else (distance < 0) | (distance >= window)
            self._masks[key] = torch.where(hidden, -torch.inf, 0.0).to(dtype)
        return self._masks[key]

    def hiding(self, run: Run, n_keys: int) -> torch.Tensor:
        """Return what is added to the products of a run with more keys than a sequence has, the same in every layer.

        Shape: (tokens, keys), float32.
        """
        key = (run.length, n_keys)
        if key not in self._hiding:
            beyond = torch.arange(n_keys, device=self.device) >= run.length
            self._hiding[key] = torch.where(beyond, -torch.inf, 0.0).expand(run.length, n_keys)
        return self._hiding[key]
