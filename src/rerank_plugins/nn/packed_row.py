"""A batch as one row of tokens, without padding: the one description of it, and what is derived from that.

Heads, encoders, decoders and attention all take a :class:`PackedRow`; what one of them alone needs (masks, offsets,
positions) is computed when it is first asked for, once for all layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, groupby
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from rerank_plugins.nn.prefixes import PrefixGroup
from rerank_plugins.system.lazy import computed_once

__all__ = ["PackedRow", "Run"]


class Run(NamedTuple):
    """Adjacent texts of equal length with the same shared prefix, or none: what one attention call can take.

    Attributes:
        start: Their first token.
        length: Tokens of each.
        texts: How many.
        prefix: First token of the text that they continue, and the one behind its last; None if there is none.
    """

    start: int
    length: int
    texts: int
    prefix: tuple[int, int] | None = None

    @property
    def n_prefix(self) -> int:
        """Tokens of the text that they continue."""
        return 0 if self.prefix is None else self.prefix[1] - self.prefix[0]


class PackedRow:
    """Texts that lie one after the other in a row of tokens.

    A text is a whole input, a prefix that several inputs share, or the rest of an input after such a prefix.

    Args:
        lengths: Tokens of each text, in the order of the row.
        device: Where the row's tensors are.
        prefixes: For each text the earlier one that it continues, whose tokens it sees as its own; None for one that
            continues nothing. Without it all texts are such.
        sources: For each text the input that its tokens are taken from; each input ends with the last text that has
            it. Without it the texts are the inputs, in their order.
        documents: For each text which of its tokens are the document's, half-open. Only :mod:`compression
            <rerank_plugins.nn.compression>` needs it; None if nobody does.
        unseen: For each text how many of its last tokens no token attends to, themselves included; None if all are
            seen.
    """

    def __init__(
        self,
        lengths: list[int],
        device: torch.device,
        *,
        prefixes: Sequence[int | None] | None = None,
        sources: Sequence[int] | None = None,
        documents: Sequence[tuple[int, int]] | None = None,
        unseen: Sequence[int] | None = None,
    ) -> None:
        self.lengths, self.device = lengths, device
        self.prefixes = [None] * len(lengths) if prefixes is None else list(prefixes)
        self.sources, self.documents, self.unseen = sources, documents, unseen
        self._seen: dict[tuple[int, int | None, bool], torch.Tensor] = {}
        self._masks: dict[tuple[int, int, int | None], torch.Tensor] = {}
        self._hiding: dict[tuple[int, int, torch.dtype], torch.Tensor] = {}

    @classmethod
    def of_groups(
        cls,
        lengths: Sequence[int],
        groups: Sequence[PrefixGroup],
        device: torch.device,
        *,
        documents: Sequence[tuple[int, int]] | None = None,
    ) -> PackedRow:
        """Return the row that holds each shared prefix once, before the rests of the inputs that share it.

        If nothing is shared, it holds the inputs in their own order.

        Args:
            lengths: Tokens of each input.
            groups: Each input in one of them, as :func:`~rerank_plugins.nn.prefixes.prefix_groups` returns them.
            device: Where the row's tensors are.
            documents: Which tokens of each input are its document's, half-open, all behind its shared prefix; None
                if nobody asks for it.
        """
        if not any(group.tokens for group in groups):
            return cls(list(lengths), device, documents=documents)
        row_lengths: list[int] = []
        prefixes: list[int | None] = []
        sources: list[int] = []
        spans: list[tuple[int, int]] = []
        for group in groups:
            prefix = None
            if group.tokens:
                prefix = len(row_lengths)
                row_lengths.append(group.tokens)
                prefixes.append(None)
                sources.append(group.members[0])
                spans.append((group.tokens, group.tokens))
            for index in group.members:
                row_lengths.append(lengths[index] - group.tokens)
                prefixes.append(prefix)
                sources.append(index)
                if documents is not None:
                    start, end = documents[index]
                    spans.append((start - group.tokens, end - group.tokens))
        return cls(
            row_lengths, device, prefixes=prefixes, sources=sources, documents=None if documents is None else spans
        )

    def gathered(self, of_inputs: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
        """Return values of the row's tokens, such as their ids, from those of whole inputs.

        Args:
            of_inputs: Values of each input's tokens. Shape of each: (tokens of the input,).

        Returns:
            Shape: (tokens,).
        """
        if self.sources is None:
            return np.concatenate(of_inputs)
        places = zip(self.sources, self.starts, self.lengths, strict=True)
        return np.concatenate([of_inputs[source][start : start + length] for source, start, length in places])

    @computed_once
    def is_shared(self) -> bool:
        """Whether a text continues another."""
        return any(prefix is not None for prefix in self.prefixes)

    @computed_once
    def tokens(self) -> int:
        """Tokens of all texts."""
        return sum(self.lengths)

    @computed_once
    def longest(self) -> int:
        """Tokens of the longest text."""
        return max(self.lengths)

    @computed_once
    def starts(self) -> list[int]:
        """Where each text begins in its input: behind the prefix that it continues."""
        return [0 if prefix is None else self.lengths[prefix] for prefix in self.prefixes]

    @computed_once
    def positions(self) -> npt.NDArray[np.int64]:
        """Where each token stands in its own input. Shape: (tokens,), int64, on the host."""
        lengths = np.array(self.lengths)
        before = np.cumsum(lengths) - lengths - np.array(self.starts)
        positions: npt.NDArray[np.int64] = np.arange(self.tokens, dtype=np.int64) - np.repeat(before, lengths)
        return positions

    @computed_once
    def seqlens(self) -> torch.Tensor:
        """Tokens of each text. Shape: (texts,), int64, on the device."""
        return torch.tensor(self.lengths).to(self.device, non_blocking=True)

    @computed_once
    def text_of_token(self) -> torch.Tensor:
        """The text that each token belongs to. Shape: (tokens,), int64, on the device."""
        return torch.repeat_interleave(torch.arange(len(self.lengths), device=self.device), self.seqlens)

    @computed_once
    def first_tokens(self) -> torch.Tensor:
        """The place of each text's first token in the row. Shape: (texts,), int64, on the device."""
        return torch.tensor([0, *self.lengths[:-1]]).cumsum(0).to(self.device, non_blocking=True)

    @computed_once
    def ends(self) -> torch.Tensor:
        """The place behind each text. Shape: (texts,), int64, on the device."""
        return torch.tensor(self.lengths).cumsum(0).to(self.device, non_blocking=True)

    @computed_once
    def last_tokens(self) -> torch.Tensor:
        """The place of each input's last token in the row. Shape: (inputs,), int64, on the device."""
        if self.sources is None:
            return self.ends - 1
        text_of_input = {source: text for text, source in enumerate(self.sources)}
        return self.ends[[text_of_input[source] for source in range(len(text_of_input))]] - 1

    @computed_once
    def cu_seqlens(self) -> torch.Tensor:
        """0 and the place behind each text. Shape: (texts + 1,), int32, on the device."""
        return torch.nn.functional.pad(self.ends, (1, 0)).to(torch.int32)

    @computed_once
    def one_each(self) -> torch.Tensor:
        """0, 1, ... up to the number of texts: offsets of one query each. Shape: (texts + 1,), int32, on the device."""
        return torch.arange(len(self.lengths) + 1, dtype=torch.int32, device=self.device)

    @computed_once
    def runs(self) -> list[Run]:
        """The runs of texts of equal length with the same prefix."""
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

    @computed_once
    def key_rows(self) -> torch.Tensor | None:
        """Where the keys of all texts are, a text's prefix before its own; None if no text has one.

        Shape: (sum of keys,), int64, on the device.
        """
        if not self.is_shared:
            return None
        rows = []
        for run in self.runs:
            prefix = torch.arange(*(run.prefix or (0, 0)))
            for start in range(run.start, run.start + run.length * run.texts, run.length):
                rows += [prefix, torch.arange(start, start + run.length)]
        return torch.cat(rows).to(self.device, non_blocking=True)

    @computed_once
    def key_lengths(self) -> list[int]:
        """Keys that each text sees: its own tokens and its prefix's."""
        return [start + length for start, length in zip(self.starts, self.lengths, strict=True)]

    @computed_once
    def key_cu_seqlens(self) -> torch.Tensor:
        """0 and the place behind each text's keys among all keys. Shape: (texts + 1,), int32, on the device."""
        return torch.tensor([0, *self.key_lengths]).cumsum(0).to(torch.int32).to(self.device, non_blocking=True)

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

    def hiding(self, run: Run, n_keys: int, *, dtype: torch.dtype) -> torch.Tensor:
        """Return what is added to the products of a run with more keys than a text has, the same in every layer.

        Shape: (tokens, keys).
        """
        key = (run.length, n_keys, dtype)
        if key not in self._hiding:
            beyond = torch.arange(n_keys, device=self.device) >= run.length
            self._hiding[key] = torch.where(beyond, -torch.inf, 0.0).to(dtype).expand(run.length, n_keys)
        return self._hiding[key]

    def seen(self, run: Run, *, window: int | None = None, is_causal: bool = False) -> torch.Tensor:
        """Return which tokens of a run's texts are attended to where some are not, the same in every layer.

        Args:
            run: Texts that continue nothing.
            window: As in :func:`~rerank_plugins.nn.attention.attend`.
            is_causal: Likewise.

        Returns:
            Shape: (texts, 1, 1, tokens), or (texts, 1, tokens, tokens) with a window or causal attention; bool.
        """
        key = (run.start, window, is_causal)
        if key not in self._seen:
            counts = self.unseen or [0] * len(self.lengths)
            first = [0, *accumulate(self.lengths)].index(run.start)
            ends = run.length - torch.tensor(counts[first : first + run.texts], device=self.device)
            places = torch.arange(run.length, device=self.device)
            seen = (places < ends.unsqueeze(1))[:, None, None, :]
            if window is not None or is_causal:
                distance = places.unsqueeze(1) - places
                reach = run.length if window is None else window
                seen = seen & ((distance >= 0) & (distance < reach) if is_causal else distance.abs() < reach)
            self._seen[key] = seen
        return self._seen[key]
