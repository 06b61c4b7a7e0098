"""Interleaved rounds: A B C, A B C, ... so that whatever the machine does meanwhile hits all systems alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from benchmarks.compare import largest_difference, mean_top_overlap
from benchmarks.results import Missing, Timing
from benchmarks.systems.base import OpenRequest, Pairs, System, SystemSpec, open_or_reason

__all__ = ["Bench", "Key", "interleaved"]

Key = tuple[str, str]
"""Name and precision of a system."""


def interleaved(
    tasks: Mapping[Key, Callable[[], object]],
    *,
    rounds: int,
    turn: int = 1,
    settling: int = 0,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[Key, tuple[float, ...]]:
    """Return the seconds of every task in every round; each must have run once before, to be warm.

    Args:
        tasks: What to time.
        rounds: How often each has its turn.
        turn: Timed calls of each in a turn.
        settling: Calls before them that are not timed. Tasks of a millisecond that use torch from different threads
            need some: the OpenMP threads of one task spin for a moment after it and take the cores of the next.
        clock: Seconds from any origin.
    """
    seconds: dict[Key, list[float]] = {key: [] for key in tasks}
    for _ in range(rounds):
        for key, task in tasks.items():
            for _ in range(settling):
                task()
            for _ in range(turn):
                start = clock()
                task()
                seconds[key].append(clock() - start)
    return {key: tuple(values) for key, values in seconds.items()}


class Bench:
    """Systems opened on one checkpoint, to be timed on any number of workloads. Use it in a ``with`` block.

    Args:
        specs: Which systems; the first one's scores are the reference.
        request: What they are opened with.
        tell: Called with one line before each slow step.
    """

    def __init__(self, specs: Sequence[SystemSpec], request: OpenRequest, *, tell: Callable[[str], None]) -> None:
        self._systems: dict[Key, System] = {}
        self.missing: list[Missing] = []
        self._tell = tell
        for spec in specs:
            tell(f"loading {spec.name} ({spec.dtype})")
            opened = open_or_reason(spec, request)
            if isinstance(opened, str):
                self.missing.append(Missing(system=spec.name, dtype=spec.dtype, reason=opened))
            else:
                self._systems[spec.name, spec.dtype] = opened

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *_: object) -> None:
        for system in self._systems.values():
            system.close()
        self._systems.clear()

    def __getitem__(self, spec: SystemSpec) -> System | None:
        """Return an opened system, or None if it could not be opened."""
        return self._systems.get((spec.name, spec.dtype))

    def run(self, pairs: Pairs, *, rounds: int, only: Sequence[SystemSpec] | None = None) -> list[Timing]:
        """Time the systems on pairs and compare their scores; the call that gives the scores is the warm-up.

        Args:
            pairs: What each scores in each round.
            rounds: How often.
            only: Some of the systems; None takes all.
        """
        wanted = None if only is None else {(spec.name, spec.dtype) for spec in only}
        chosen = {key: system for key, system in self._systems.items() if wanted is None or key in wanted}
        self._tell(f"{len(chosen)} systems, {len(pairs)} pairs, warm-up and {rounds} rounds")
        scores = self._scored(chosen, pairs)
        seconds = interleaved({key: _task(chosen[key], pairs) for key in scores}, rounds=rounds)
        reference = next(iter(scores.values()), [])
        queries = [query for query, _ in pairs]
        return [
            Timing(
                system=key[0],
                dtype=key[1],
                seconds=values,
                difference=largest_difference(scores[key], reference),
                overlap=mean_top_overlap(scores[key], reference, queries=queries),
            )
            for key, values in seconds.items()
        ]

    def _scored(self, chosen: Mapping[Key, System], pairs: Pairs) -> dict[Key, list[float]]:
        """Score once with each system; one that fails is told as missing and taken out."""
        scores: dict[Key, list[float]] = {}
        for key, system in chosen.items():
            try:
                scores[key] = system.score(pairs)
            except Exception as error:  # noqa: BLE001 - peers fail in every way; the result says how
                reason = f"fails while scoring: {type(error).__name__}: {' '.join(str(error).split())[:200]}"
                self.missing.append(Missing(system=key[0], dtype=key[1], reason=reason))
                del self._systems[key]
        return scores


def _task(system: System, pairs: Pairs) -> Callable[[], object]:
    return lambda: system.score(pairs)
