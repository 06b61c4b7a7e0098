"""How a call is carried out: its steps are written once, and run in a thread or on an event loop.

The steps of a call are a generator: it yields what a backend is to score and is sent the scores, and what it returns is
the call's result. Each step is one record for the observers.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TypeVar

from rerank_plugins.backends.protocol import BackendScores, Pairs, PairScorer, ScoreOptions
from rerank_plugins.calls.observing import StartedCall

__all__ = ["ScoreStep", "Steps", "adrive", "drive", "started"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class ScoreStep:
    """Pairs that a backend is to score.

    Attributes:
        pairs: The pairs, checked.
        options: What is asked of the backend.
    """

    pairs: Pairs
    options: ScoreOptions


Steps = Generator[ScoreStep, BackendScores, T]


def drive(backend: PairScorer, steps: Steps[T]) -> T:
    """Run the steps of a call in this thread and return its result."""
    taken: BackendScores | None = None
    while True:
        try:
            step = next(steps) if taken is None else steps.send(taken)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        with started(backend) as call:
            taken = backend.score(step.pairs, step.options)
            call.usage = taken.usage


async def adrive(backend: PairScorer, steps: Steps[T]) -> T:
    """Run the steps of a call without blocking the event loop and return its result."""
    taken: BackendScores | None = None
    while True:
        try:
            step = next(steps) if taken is None else steps.send(taken)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        with started(backend) as call:
            taken = await backend.ascore(step.pairs, step.options)
            call.usage = taken.usage


def started(backend: PairScorer) -> StartedCall:
    """Return the record of a call that begins now, a block to run it in."""
    return StartedCall("rerank", model=backend.spec.id, device=backend.device)
