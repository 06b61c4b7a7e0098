"""Groups as padded tensors: the dataset, the order, and the collator of a training.

Pairs are tokenised by the pair tokenizer that inference uses, so that a training sees what inference sees.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from rerank_plugins.protocols import TokenInput
from rerank_plugins.text.pair_inputs import PairInputs
from rerank_plugins.text.pair_tokenizer import EncodedPair
from rerank_plugins.training.groups import Group, draw_group, epoch_order, grouped_order
from rerank_plugins.training.rows import Rows
from rerank_plugins.training.settings_common import CommonDataSettings

__all__ = ["EpochOrder", "GroupBatches", "GroupDataset", "PairPadding"]


class GroupDataset(Dataset[Group]):
    """The groups of all epochs, by (epoch, row).

    Args:
        rows: The training data.
        data: How a row becomes a group.
        seed: Of the draws.
    """

    def __init__(self, rows: Rows, data: CommonDataSettings, *, seed: int) -> None:
        self._rows, self._data, self._seed = rows, data, seed

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: tuple[int, int]) -> Group:
        epoch, row = index
        size = self._rows.task(row).texts_of_group(self._data.train_group_size)
        return draw_group(self._rows[row], self._data, seed=self._seed, epoch=epoch, row=row, size=size)


class EpochOrder(Sampler[tuple[int, int]]):
    """The rows of an epoch, in its own order.

    Args:
        n_rows: Number of rows.
        seed: The run's.
        sizes: How long each row is, where batches shall hold rows of about the same length; None where not.
        batch: Rows of a batch, over all devices.

    Attributes:
        epoch: The epoch that the next iteration is of. Whoever runs epochs sets it; accelerate, which counts them
            from 0 after a resume, does not know this name.
    """

    def __init__(self, n_rows: int, *, seed: int, sizes: Sequence[int] | None = None, batch: int = 1) -> None:
        self._n_rows, self._seed, self.epoch = n_rows, seed, 0
        self._sizes, self._batch = sizes, batch

    def __len__(self) -> int:
        return self._n_rows

    def __iter__(self) -> Iterator[tuple[int, int]]:
        epoch = self.epoch
        order = epoch_order(self._n_rows, seed=self._seed, epoch=epoch)
        if self._sizes is not None:
            order = grouped_order(order, self._sizes, batch=self._batch, seed=self._seed, epoch=epoch)
        return ((epoch, row) for row in order)


@dataclass(frozen=True, slots=True)
class PairPadding:
    """Pairs as the tensors that a model takes.

    Attributes:
        pad_id: Id of the padding token.
        has_types: Whether the model takes segment ids.
        has_segments: Whether it asks where the two texts lie.
    """

    pad_id: int
    has_types: bool
    has_segments: bool = False

    def __call__(self, inputs: Sequence[TokenInput]) -> dict[str, Tensor]:
        """Return ``input_ids``, ``attention_mask`` and what else the model takes.

        Shape of each: (inputs, longest), int64, padded on the right; ``segments``: (inputs, 4).
        """
        shape = (len(inputs), max(map(len, inputs)))
        ids = torch.full(shape, self.pad_id, dtype=torch.int64)
        mask, types = torch.zeros(shape, dtype=torch.int64), torch.zeros(shape, dtype=torch.int64)
        for row, one in enumerate(inputs):
            ids[row, : len(one)] = torch.from_numpy(one.ids)
            types[row, : len(one)] = torch.from_numpy(one.type_ids)
            mask[row, : len(one)] = 1
        tensors = {"input_ids": ids, "attention_mask": mask}
        if self.has_types:
            tensors["token_type_ids"] = types
        if self.has_segments:
            bounds = [one.segments for one in inputs if one.segments is not None]
            tensors["segments"] = torch.tensor(
                [[s.query_start, s.query_end, s.document_start, s.document_end] for s in bounds]
            )
        return tensors


@runtime_checkable
class TakesPrompts(Protocol):
    """Pairs of a model that reads a prompt."""

    def with_prompt(self, prompt: str) -> PairInputs:
        """Return what encodes pairs with another prompt than the model's."""
        ...


class GroupBatches:
    """Makes a batch of groups: the pairs of all of them as rows, and how they belong together.

    A batch holds the model's tensors, ``rows`` (groups,), and with a teacher ``teacher`` (groups, texts). Scores of
    shape (pairs,) take the shape of (groups, texts) by ``rows``, so a smaller last batch is no other grouping.

    Args:
        pairs: The model's pair tokenizer.
        padding: The model's tensors.
    """

    def __init__(self, pairs: PairInputs, padding: PairPadding) -> None:
        self._pairs, self._padding = pairs, padding

    def __call__(self, groups: Sequence[Group]) -> dict[str, Any]:
        """Return the batch of some groups of equal size."""
        encoded = self._encoded(groups)
        batch = self._padding([pair.inputs[0] for pair in encoded])
        batch["rows"] = torch.tensor([group.row for group in groups])
        teachers = [group.teacher for group in groups if group.teacher is not None]
        if teachers:
            batch["teacher"] = torch.tensor(teachers)
        return batch

    def _encoded(self, groups: Sequence[Group]) -> list[EncodedPair]:
        """Return the inputs of all pairs, those of a row with a prompt of its own with that, if the model reads one."""
        pairs = [[(group.query, text) for text in group.texts] for group in groups]
        if not isinstance(self._pairs, TakesPrompts) or all(group.prompt is None for group in groups):
            return self._pairs.encode([pair for of_group in pairs for pair in of_group])
        encoders = [self._pairs if one.prompt is None else self._pairs.with_prompt(one.prompt) for one in groups]
        return [one for encoder, of_group in zip(encoders, pairs, strict=True) for one in encoder.encode(of_group)]
