"""Batches whose rows all come from one file, so that no text of another task is a negative."""

from __future__ import annotations

import random
from collections.abc import Hashable, Iterator, Sequence

from rerank_plugins.training.batches import EpochOrder
from rerank_plugins.training.groups import epoch_order

__all__ = ["FileOrder", "rows_by_file"]


def rows_by_file(
    sources: Sequence[int], *, tasks: Sequence[Hashable], small_threshold: int, drop_threshold: int
) -> list[list[int]]:
    """Return the rows of each file; files with few rows are one together, if they have the same task.

    As FlagEmbedding 1.4.2 ``abc/finetune/embedder/AbsDataset.py`` does for the files of a folder, here of all files.

    Args:
        sources: Number of each row's file.
        tasks: What the groups of each file have in common.
        small_threshold: Files with fewer rows are put together.
        drop_threshold: If these have fewer rows together they are left out.
    """
    files: dict[int, list[int]] = {}
    for row, source in enumerate(sources):
        files.setdefault(source, []).append(row)
    large = [rows for rows in files.values() if len(rows) >= small_threshold]
    small: dict[Hashable, list[int]] = {}
    for source, rows in files.items():
        if len(rows) < small_threshold:
            small.setdefault(tasks[source], []).extend(rows)
    return [*large, *(rows for rows in small.values() if len(rows) >= drop_threshold)]


class FileOrder(EpochOrder):
    """The rows of an epoch, batch by batch of one file each, in its own order; what is left of a file is left out.

    Args:
        files: The rows of each file.
        seed: The run's.
        batch: Rows of a batch, over all devices.
    """

    def __init__(self, files: Sequence[Sequence[int]], *, seed: int, batch: int) -> None:
        super().__init__(sum(len(rows) // batch * batch for rows in files), seed=seed, batch=batch)
        self._files = files

    def __iter__(self) -> Iterator[tuple[int, int]]:
        epoch, size = self.epoch, self._batch
        batches = []
        for number, rows in enumerate(self._files):
            order = [rows[place] for place in epoch_order(len(rows), seed=f"{self._seed}:file {number}", epoch=epoch)]
            batches += [order[start : start + size] for start in range(0, len(rows) // size * size, size)]
        random.Random(f"{self._seed}:{epoch}:batches").shuffle(batches)  # noqa: S311 - no secret
        return ((epoch, row) for one in batches for row in one)
