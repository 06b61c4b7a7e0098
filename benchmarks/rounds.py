"""Interleaved rounds: A B C, A B C, ... so that whatever the machine does meanwhile hits all systems alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.compare import largest_difference, mean_top_overlap
from benchmarks.results import Missing, Timing
from benchmarks.systems.base import OpenRequest, Pairs, System, SystemSpec, open_or_reason

__all__ = ["Bench", "Key", "interleaved"]

Key = tuple[str, str]
"""Name and precision of a system."""


def interleaved(
    tasks: Mapping[Key, Callable[[], object]], *, rounds: int, clock: Callable[[], float] = time.perf_counter
) -> dict[Key, tuple[float, ...]]:
    """Return the seconds of every task in every round, after one warm-up call of each that is not counted.

    Args:
        tasks: What to time.
        rounds: How often each runs.
        clock: Seconds from any origin.
    """
    for task in tasks.values():
        task()
    seconds: dict[Key, list[float]] = {key: [] for key in tasks}
    for _ in range(rounds):
        for key, task in tasks.items():
            start = clock()
            task()
            seconds[key].append(clock() - start)
    return {key: tuple(values) for key, values in seconds.items()}


@dataclass(frozen=True, slots=True)
class _Failed:
    reason: str


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

    def run(
        self, pairs: Pairs, *, rounds: int, only: Sequence[SystemSpec] | None = None, extra: Pairs = ()
    ) -> list[Timing]:
        """Time the systems on pairs and compare their scores.

        Args:
            pairs: What each scores in each round.
            rounds: How often.
            only: Some of the systems; None takes all.
            extra: More pairs that are scored once and not timed, for a mean overlap over several queries.
        """
        wanted = None if only is None else {(spec.name, spec.dtype) for spec in only}
        chosen = {key: system for key, system in self._systems.items() if wanted is None or key in wanted}
        scores = self._scored(chosen, [*pairs, *extra])
        tasks = {
            key: _task(system, list(pairs)) for key, system in chosen.items() if not isinstance(scores[key], _Failed)
        }
        self._tell(f"timing {len(tasks)} systems, {len(pairs)} pairs, {rounds} rounds")
        seconds = interleaved(tasks, rounds=rounds)
        reference = next((value for value in scores.values() if not isinstance(value, _Failed)), [])
        queries = [query for query, _ in [*pairs, *extra]]
        timings = []
        for key, values in seconds.items():
            found = scores[key]
            if isinstance(found, _Failed):
                continue
            timings.append(
                Timing(
                    system=key[0],
                    dtype=key[1],
                    seconds=values,
                    difference=largest_difference(found, reference),
                    overlap=mean_top_overlap(found, reference, queries=queries),
                )
            )
        return timings

    def _scored(self, chosen: Mapping[Key, System], pairs: Pairs) -> dict[Key, list[float] | _Failed]:
        """Score once with each system; one that fails is told as missing and taken out."""
        scores: dict[Key, list[float] | _Failed] = {}
        for key, system in chosen.items():
            try:
                scores[key] = system.score(pairs)
            except Exception as error:  # noqa: BLE001 - peers fail in every way; the result says how
                reason = f"fails while scoring: {type(error).__name__}: {str(error)[:200]}"
                self.missing.append(Missing(system=key[0], dtype=key[1], reason=reason))
                scores[key] = _Failed(reason)
                self._systems.pop(key, None)
        return scores


def _task(system: System, pairs: Pairs) -> Callable[[], object]:
    return lambda: system.score(pairs)
