"""What tells how far work is that may take hours: a bar in a terminal, elsewhere a line on stderr now and then."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from rerank_plugins.display.terminal import Screen

__all__ = ["rows_progress", "tasks_progress"]

_EVERY_S = 60.0
"""Seconds between two lines: a night has some five hundred."""


@contextmanager
def rows_progress(what: str = "rows", *, every_s: float = _EVERY_S) -> Iterator[Callable[[int, int | None], None]]:
    """Yield a function to call with the numbers of finished and of all rows: a bar, or lines outside a terminal.

    The number of all rows is None where it is not known.

    Args:
        what: What a row is called.
        every_s: Seconds between two lines.
    """
    with tasks_progress(every_s=every_s) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def tasks_progress(*, every_s: float = _EVERY_S) -> Progress:
    """Return what shows the tasks that are added to it while it is entered.

    Args:
        every_s: Seconds between two lines.
    """
    screen = Screen(stderr=True)
    if not screen.is_terminal:
        return _Lines(screen, every_s)
    return Progress(*_columns(), console=screen, transient=True)


def _columns() -> tuple[ProgressColumn, ...]:
    description = TextColumn("{task.description}", markup=False)
    return (description, BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())


class _Lines(Progress):
    """Prints the task that went on, with the time of day, where the last line is some time ago."""

    def __init__(self, screen: Screen, every_s: float) -> None:
        super().__init__(console=screen, disable=True)
        self._every_s, self._shown_s = every_s, time.monotonic()

    def start(self) -> None:
        """Show nothing yet."""

    def stop(self) -> None:
        """Leave no line behind: older versions of rich print an empty one, also where nothing is shown."""

    def advance(self, task_id: TaskID, advance: float = 1) -> None:
        super().advance(task_id, advance)
        self._show(task_id)

    def update(self, task_id: TaskID, **changes: Any) -> None:
        super().update(task_id, **changes)
        self._show(task_id)

    def _show(self, task_id: TaskID) -> None:
        if time.monotonic() - self._shown_s < self._every_s:
            return
        self._shown_s = time.monotonic()
        task = self._tasks[task_id]
        of_all = "" if task.total is None else f" of {task.total:,.0f}"
        line = f"{time.strftime('%Y-%m-%d %H:%M:%S')} {task.description}: {task.completed:,.0f}{of_all}"
        self.console.print(line, soft_wrap=True)
