"""What tells how far work on rows is, of which some may be done already."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from rerank_plugins.display.terminal import Screen

__all__ = ["rows_progress"]

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
    screen = Screen(stderr=True)
    if not screen.is_terminal:
        yield _lines(screen, what, every_s)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=screen, transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _lines(screen: Screen, what: str, every_s: float) -> Callable[[int, int | None], None]:
    shown_s = time.monotonic()

    def show(done: int, total: int | None) -> None:
        nonlocal shown_s
        if time.monotonic() - shown_s >= every_s:
            shown_s = time.monotonic()
            of_all = "" if total is None else f" of {total:,}"
            screen.print(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {done:,}{of_all} {what}")

    return show
