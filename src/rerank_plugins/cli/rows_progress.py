"""A bar for work on rows of which some may be done already."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from rerank_plugins.display.terminal import Screen

__all__ = ["rows_progress"]


@contextmanager
def rows_progress() -> Iterator[Callable[[int, int], None]]:
    """Yield a function to call with the numbers of finished and of all rows; it shows nothing outside a terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    screen = Screen(stderr=True)
    with Progress(*columns, console=screen, transient=True, disable=not screen.is_terminal) as bar:
        task = bar.add_task("rows", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
