"""What a composed reranker asks of its models: written once, and done in a thread or on an event loop."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from rerank_plugins.composed.members import OpenModel
from rerank_plugins.errors import DeadlineExceededError, OverloadedError, ScoringError
from rerank_plugins.types import Ranking

__all__ = ["Work", "adrive_work", "drive_work"]

T = TypeVar("T")

_HANDED_ON = (DeadlineExceededError, OverloadedError, ScoringError)
"""What a model may fail with in a call that was right; all else is the caller's to know at once."""


@dataclass(frozen=True, slots=True, eq=False)
class Work:
    """Documents of one query that a model is to rank.

    Attributes:
        model: The model.
        query: The question.
        texts: The documents, in the order before it, which ties keep.
        deadline_s: Seconds after which it is given up; None takes the model's own.
    """

    model: OpenModel
    query: str
    texts: Sequence[str]
    deadline_s: float | None

    def run(self) -> Ranking | Exception:
        """Rank them in this thread; return the order, or what it failed with."""
        try:
            return self.model.reranker.rank(
                self.query, self.texts, layers=self.model.layers, deadline_s=self.deadline_s
            )
        except _HANDED_ON as error:
            return error

    async def arun(self) -> Ranking | Exception:
        """Rank them without blocking the event loop; see :meth:`run`."""
        try:
            return await self.model.reranker.arank(
                self.query, self.texts, layers=self.model.layers, deadline_s=self.deadline_s
            )
        except _HANDED_ON as error:
            return error


def drive_work(steps: Generator[Work, Ranking | Exception, T]) -> T:
    """Do what the steps ask for, in this thread, and return their result."""
    try:
        work = next(steps)
        while True:
            work = steps.send(work.run())
    except StopIteration as end:
        made: T = end.value
        return made
    finally:
        # Now, not when nobody holds an error any more: they may have to tell what they took.
        steps.close()


async def adrive_work(steps: Generator[Work, Ranking | Exception, T]) -> T:
    """Do what the steps ask for without blocking the event loop, and return their result."""
    try:
        work = next(steps)
        while True:
            work = steps.send(await work.arun())
    except StopIteration as end:
        made: T = end.value
        return made
    finally:
        steps.close()
