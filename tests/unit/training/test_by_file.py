"""Batches of one file each: every row at most once an epoch, and no batch of two files."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from rerank_plugins.training.by_file import FileOrder, rows_by_file


def test_small_files_are_one_together_or_left_out() -> None:
    sources = [0] * 5 + [1] * 2 + [2] * 1
    tasks = ["", "", ""]
    assert rows_by_file(sources, tasks=tasks, small_threshold=0, drop_threshold=0) == [[0, 1, 2, 3, 4], [5, 6], [7]]
    assert rows_by_file(sources, tasks=tasks, small_threshold=3, drop_threshold=3) == [[0, 1, 2, 3, 4], [5, 6, 7]]
    assert rows_by_file(sources, tasks=tasks, small_threshold=3, drop_threshold=4) == [[0, 1, 2, 3, 4]]


def test_small_files_of_another_task_are_not_put_together() -> None:
    sources, tasks = [0, 1, 1, 2, 3], ["a", "b", "a", "b"]
    assert rows_by_file(sources, tasks=tasks, small_threshold=9, drop_threshold=0) == [[0, 3], [1, 2, 4]]
    assert rows_by_file(sources, tasks=tasks, small_threshold=9, drop_threshold=3) == [[1, 2, 4]]


@settings(derandomize=True, deadline=None)
@given(st.lists(st.integers(1, 12), min_size=1, max_size=4), st.integers(1, 5), st.integers(0, 3))
def test_an_epoch_is_made_of_whole_batches_of_one_file(sizes: list[int], batch: int, epoch: int) -> None:
    starts = [sum(sizes[:place]) for place in range(len(sizes))]
    files = [list(range(start, start + size)) for start, size in zip(starts, sizes, strict=True)]
    order = FileOrder(files, seed=3, batch=batch)
    order.epoch = epoch
    rows = [row for _, row in order]
    assert len(rows) == len(order) == sum(size // batch * batch for size in sizes)
    assert len(set(rows)) == len(rows)
    assert [row for _, row in order] == rows
    for start in range(0, len(rows), batch):
        assert len({next(n for n, file in enumerate(files) if row in file) for row in rows[start : start + batch]}) == 1


def test_every_epoch_has_an_order_of_its_own() -> None:
    order = FileOrder([list(range(40)), list(range(40, 80))], seed=1, batch=8)
    first = list(order)
    order.epoch = 1
    assert [row for _, row in order] != [row for _, row in first]
