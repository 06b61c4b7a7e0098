"""The positions of texts in a packed row, and the masks and offsets that attention needs."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

import torch

from rerank_plugins.system.lazy import computed_once

__all__ = ["Run", "Texts"]


class Run(NamedTuple):
    """Adjacent texts of equal length with the same shared prefix, or none.

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


class Texts:
    """The positions of the texts in a packed row.

    Args:
        lengths: Tokens of each text, in the order of the row.
        device: Where the row is.
        prefixes: For each text the earlier one that it continues, whose tokens it sees as its own; None for one that
            continues nothing. Without it all texts are such.
    """

    def __init__(
        self, lengths: list[int], device: torch.device, *, prefixes: Sequence[int | None] | None = None
    ) -> None:
        self.lengths, self.device = lengths, device
        self.prefixes = [None] * len(lengths) if prefixes is None else list(prefixes)
        self._masks: dict[tuple[int, int, int | None], torch.Tensor] = {}
        self._hiding: dict[tuple[int, int], torch.Tensor] = {}

    @property
    def is_shared(self) -> bool:
        """Whether a text continues another."""
        return any(prefix is not None for prefix in self.prefixes)

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
    def tokens(self) -> int:
        """Tokens of all texts."""
        return sum(self.lengths)

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
        return [
            length + (0 if prefix is None else self.lengths[prefix])
            for length, prefix in zip(self.lengths, self.prefixes, strict=True)
        ]

    @computed_once
    def key_offsets(self) -> torch.Tensor:
        """0 and the position behind each text's keys among all keys. Shape: (texts + 1,), int32, on the device."""
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

    def hiding(self, run: Run, n_keys: int) -> torch.Tensor:
        """Return what is added to the products of a run with more keys than a text has, the same in every layer.

        Shape: (tokens, keys), float32.
        """
        key = (run.length, n_keys)
        if key not in self._hiding:
            beyond = torch.arange(n_keys, device=self.device) >= run.length
            self._hiding[key] = torch.where(beyond, -torch.inf, 0.0).expand(run.length, n_keys)
        return self._hiding[key]

    @computed_once
    def ends(self) -> torch.Tensor:
        """The position behind each text. Shape: (texts,), int64, on the device."""
        return torch.tensor(self.lengths).cumsum(0).to(self.device, non_blocking=True)

    @computed_once
    def first(self) -> torch.Tensor:
        """The position of each text's first token. Shape: (texts,), int64, on the device."""
        starts = torch.tensor([0, *self.lengths[:-1]]).cumsum(0)
        return starts.to(self.device, non_blocking=True)

    @computed_once
    def offsets(self) -> torch.Tensor:
        """0 and the position behind each text. Shape: (texts + 1,), int32, on the device."""
        return torch.nn.functional.pad(self.ends, (1, 0)).to(torch.int32)

    @computed_once
    def one_each(self) -> torch.Tensor:
        """0, 1, ... up to the number of texts: offsets of one query each. Shape: (texts + 1,), int32, on the device."""
        return torch.arange(len(self.lengths) + 1, dtype=torch.int32, device=self.device)

    @computed_once
    def longest(self) -> int:
        """Tokens of the longest text."""
        return max(self.lengths)
