"""Log messages as lines on stderr, for commands that run long and may have no terminal."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

__all__ = ["logged_to_stderr"]


@contextmanager
def logged_to_stderr(levels: dict[str, int]) -> Iterator[None]:
    """Show the messages of some loggers, and of those below them, with the time of each.

    Args:
        levels: Name of a logger (``rerank_plugins.serving``) to the least level that is shown.
    """
    # A process may be started without one; nobody reads the lines then.
    err: TextIO | None = sys.stderr
    handler = logging.NullHandler() if err is None else logging.StreamHandler(err)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    loggers = {logging.getLogger(name): level for name, level in levels.items()}
    before = {logger: logger.level for logger in loggers}
    for logger, level in loggers.items():
        logger.addHandler(handler)
        logger.setLevel(level)
    try:
        yield
    finally:
        for logger, level in before.items():
            logger.removeHandler(handler)
            logger.setLevel(level)
