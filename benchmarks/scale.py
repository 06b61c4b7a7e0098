"""``python -m benchmarks.scale``: how many machines a day of pairs, or a corpus of passages, takes.

The sums take figures that were measured or are assumed, each an option. The simulations take the same figures and add
what sums leave out: requests that come in bursts, a scaler that is late, processes that die. They use no clock and no
cluster; with one seed they print the same every time.
"""

from __future__ import annotations

import heapq
import sys
from dataclasses import dataclass
from math import ceil, expm1
from typing import Annotated

import numpy as np
import typer

__all__ = ["Fleet", "bulk_overhead", "expected_overhead", "machines", "main", "simulate_serving"]

_DAY_S = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """Replicas, the traffic that they get, and how their number is chosen.

    Attributes:
        pairs_per_s: What a replica scores.
        requests_per_s: Mean arrivals.
        pairs_per_request: Mean documents of a request; they are spread log-normally with sigma 0.8.
        peak: Arrivals at the height of a wave, of the mean; it goes up and down once in the time simulated.
        replicas: At the start, and at least.
        max_replicas: At most.
        limit_pairs: Pairs that wait in a replica at most; a request that finds more is refused (429).
        target_pairs: Waiting pairs of a replica above which another one is asked for.
        start_s: Seconds until a replica that was asked for takes requests.
        look_s: Seconds between two looks of the scaler.
        calm_s: Seconds of less need until one goes.
        death_s: Mean seconds until a replica dies; what it held is asked again and a new one starts.
    """

    pairs_per_s: float
    requests_per_s: float
    pairs_per_request: float = 50.0
    peak: float = 2.0
    replicas: int = 4
    max_replicas: int = 10_000
    limit_pairs: float = 2_000.0
    target_pairs: float = 100.0
    start_s: float = 30.0
    look_s: float = 10.0
    calm_s: float = 300.0
    death_s: float = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """What a simulated fleet did.

    Attributes:
        p50_s: Seconds of half of the answered requests at most.
        p99_s: The same for 99 of 100.
        refused: Share of the pairs that came whose requests were refused.
        repeated: Requests that were under way in a replica that died.
        mean_replicas: Replicas on average.
        busy: Share of their time in which they score.
    """

    p50_s: float
    p99_s: float
    refused: float
    repeated: int
    mean_replicas: float
    busy: float


def machines(items: float, *, items_per_s: float, seconds: float = _DAY_S, busy: float = 0.6) -> int:
    """Return how many processes score or embed so many items in a time, busy for a share of it."""
    return ceil(items / (items_per_s * seconds * busy))


def expected_overhead(block_s: float, *, death_s: float, start_s: float) -> float:
    """Return the time a block takes on average, of its own: 1.0 if no process ever dies.

    A process dies after an exponential time with the mean ``death_s``; the block begins again after ``start_s``. The
    expected time is ``(death_s + start_s) * (exp(block_s / death_s) - 1)``.
    """
    return (death_s + start_s) * expm1(block_s / death_s) / block_s


def bulk_overhead(block_s: float, *, death_s: float, start_s: float, n_blocks: int = 20_000, seed: int = 0) -> float:
    """Return the same as :func:`expected_overhead`, by letting processes die."""
    draw = np.random.default_rng(seed)
    total_s = 0.0
    for _ in range(n_blocks):
        while (lives_s := draw.exponential(death_s)) < block_s:
            total_s += lives_s + start_s
        total_s += block_s
    return total_s / (n_blocks * block_s)


def simulate_serving(fleet: Fleet, *, seconds: float = 3_600.0, seed: int = 0) -> Served:
    """Let requests come and go for a time. Each goes to the emptier of two replicas, as Ray Serve routes it.

    A replica answers in the order of arrival at its full rate; when it dies, what it held comes back at once to others.
    """
    return _Simulation(fleet, seconds=seconds, seed=seed).run()


class _Simulation:
    """The events of one run, in order of time."""

    def __init__(self, fleet: Fleet, *, seconds: float, seed: int) -> None:
        self._fleet, self._seconds = fleet, seconds
        self._draw = np.random.default_rng(seed)
        self._free_at: dict[int, float] = dict.fromkeys(range(fleet.replicas), 0.0)
        self._held: dict[int, list[tuple[float, float, float]]] = {one: [] for one in self._free_at}
        self._next, self._starting = fleet.replicas, 0
        self._latencies: list[float] = []
        self._n_repeated = 0
        self._replica_s = self._scored = self._came = self._refused = 0.0
        self._calm_since = 0.0
        self._events: list[tuple[float, int, str, int]] = []
        self._serial = 0

    def run(self) -> Served:
        fleet, now_s = self._fleet, 0.0
        self._at(self._gap(0.0), "request")
        self._at(fleet.look_s, "look")
        for one in self._free_at:
            self._at(self._draw.exponential(fleet.death_s), "death", one)
        while self._events and (event := heapq.heappop(self._events))[0] < self._seconds:
            at_s, _, kind, replica = event
            self._replica_s += (at_s - now_s) * len(self._free_at)
            now_s = at_s
            getattr(self, f"_{kind}")(now_s, replica)
        latencies = np.array(self._latencies or [0.0])
        return Served(
            p50_s=float(np.quantile(latencies, 0.5)),
            p99_s=float(np.quantile(latencies, 0.99)),
            refused=self._refused / max(1.0, self._came),
            repeated=self._n_repeated,
            mean_replicas=self._replica_s / now_s,
            busy=self._scored / fleet.pairs_per_s / self._replica_s,
        )

    def _at(self, at_s: float, kind: str, replica: int = -1) -> None:
        self._serial += 1
        heapq.heappush(self._events, (at_s, self._serial, kind, replica))

    def _gap(self, now_s: float) -> float:
        wave = 1.0 + (self._fleet.peak - 1.0) * np.sin(2 * np.pi * now_s / self._seconds)
        return now_s + self._draw.exponential(1.0 / (self._fleet.requests_per_s * max(0.05, float(wave))))

    def _request(self, now_s: float, _: int) -> None:
        self._at(self._gap(now_s), "request")
        sigma = 0.8
        pairs = self._draw.lognormal(np.log(self._fleet.pairs_per_request) - sigma**2 / 2, sigma)
        self._came += max(1.0, pairs)
        self._send(now_s, now_s, max(1.0, pairs))

    def _send(self, now_s: float, came_s: float, pairs: float) -> None:
        keys = list(self._free_at)
        if not keys:
            self._refused += pairs
            return
        two = self._draw.integers(len(keys), size=2)
        chosen = min((keys[one] for one in two), key=lambda one: self._free_at[one])
        waiting = max(0.0, self._free_at[chosen] - now_s) * self._fleet.pairs_per_s
        if waiting and waiting + pairs > self._fleet.limit_pairs:
            self._refused += pairs
            return
        done_s = max(now_s, self._free_at[chosen]) + pairs / self._fleet.pairs_per_s
        self._free_at[chosen] = done_s
        self._held[chosen].append((done_s, came_s, pairs))
        self._at(done_s, "done", chosen)

    def _done(self, now_s: float, replica: int) -> None:
        held = self._held.get(replica, [])
        while held and held[0][0] <= now_s:
            _, came_s, pairs = held.pop(0)
            self._latencies.append(now_s - came_s)
            self._scored += pairs

    def _death(self, now_s: float, replica: int) -> None:
        if replica not in self._free_at:
            return
        held = self._held.pop(replica)
        del self._free_at[replica]
        self._n_repeated += len(held)
        self._starting += 1
        self._at(now_s + self._fleet.start_s, "start")
        for _, came_s, pairs in held:
            self._send(now_s, came_s, pairs)

    def _look(self, now_s: float, _: int) -> None:
        fleet = self._fleet
        self._at(now_s + fleet.look_s, "look")
        waiting = sum(max(0.0, free_s - now_s) for free_s in self._free_at.values()) * fleet.pairs_per_s
        wanted = min(fleet.max_replicas, max(fleet.replicas, ceil(waiting / fleet.target_pairs)))
        there = len(self._free_at) + self._starting
        if wanted >= there:
            self._calm_since = now_s
        for _ in range(wanted - there):
            self._starting += 1
            self._at(now_s + fleet.start_s, "start")
        if wanted < there and now_s - self._calm_since > fleet.calm_s:
            idle = [one for one, free_s in self._free_at.items() if free_s <= now_s]
            for one in idle[: there - wanted]:
                del self._free_at[one], self._held[one]

    def _start(self, now_s: float, _: int) -> None:
        self._starting -= 1
        self._free_at[self._next], self._held[self._next] = now_s, []
        self._at(now_s + self._draw.exponential(self._fleet.death_s), "death", self._next)
        self._next += 1


def main(
    *,
    pairs_a_day: Annotated[float, typer.Option(help="Pairs to score in a day.")] = 1e9,
    passages: Annotated[float, typer.Option(help="Passages to embed once.")] = 1e10,
    passages_days: Annotated[float, typer.Option(help="Days for them.")] = 14.0,
    core_pairs_per_s: Annotated[float, typer.Option(help="Pairs a second of a core.")] = 60.0,
    core_passages_per_s: Annotated[float, typer.Option(help="Passages a second of a core.")] = 60.0,
    gpu_pairs_per_s: Annotated[float, typer.Option(help="Pairs a second of a GPU.")] = 5_000.0,
    core_price: Annotated[float, typer.Option(help="Price of a core and hour.")] = 0.04,
    gpu_price: Annotated[float, typer.Option(help="Price of a GPU and hour.")] = 3.0,
    dimensions: Annotated[int, typer.Option(help="Numbers of a vector.")] = 384,
) -> None:
    """Print machines, price and storage, then what bursts and deaths do to them."""
    _say("| job | by | processes | busy | price |")
    _say("|---|---|---|---|---|")
    for what, items, seconds, busy, core in (
        (f"{pairs_a_day:.0e} pairs a day, answered at once", pairs_a_day, _DAY_S, 0.4, core_pairs_per_s),
        (f"{pairs_a_day:.0e} pairs a day, in blocks", pairs_a_day, _DAY_S, 0.9, core_pairs_per_s),
        (
            f"{passages:.0e} passages in {passages_days:g} days",
            passages,
            passages_days * _DAY_S,
            0.9,
            core_passages_per_s,
        ),
    ):
        for name, rate, price in (("cores", core, core_price), ("GPUs", gpu_pairs_per_s, gpu_price)):
            n_needed = machines(items, items_per_s=rate, seconds=seconds, busy=busy)
            _say(f"| {what} | {name} | {n_needed:,} | {busy:g} | {n_needed * seconds / 3600 * price:,.0f} |")
    _say(
        f"\nVectors of {passages:.0e} passages: {passages * dimensions * 4 / 1e12:,.1f} TB in float32, "
        f"{passages * dimensions / 1e12:,.1f} TB in int8.\n"
    )
    _say("| block | processes that die once in | time, of the block's own: by formula | simulated |")
    _say("|---|---|---|---|")
    for block_s in (60.0, 600.0, 3_600.0):
        for death_s in (3_600.0, 86_400.0):
            sums = expected_overhead(block_s, death_s=death_s, start_s=60.0)
            seen = bulk_overhead(block_s, death_s=death_s, start_s=60.0)
            _say(f"| {block_s / 60:g} min | {death_s / 3600:g} h | {sums:.3f} | {seen:.3f} |")
    _say("\n| fleet | p50 | p99 | refused | asked again | replicas | busy |")
    _say("|---|---|---|---|---|---|---|")
    common = {"pairs_per_s": 2 * core_pairs_per_s, "requests_per_s": 20.0}
    for name, fleet in {
        "sized for the mean, fixed": Fleet(**common, replicas=9, max_replicas=9),
        "sized for the peak, fixed": Fleet(**common, replicas=24, max_replicas=24),
        "scaled by waiting pairs": Fleet(**common, replicas=12, max_replicas=40),
        "the same, each dying once in 10 minutes": Fleet(**common, replicas=12, max_replicas=40, death_s=600.0),
    }.items():
        found = simulate_serving(fleet)
        _say(
            f"| {name} | {found.p50_s:.2f} s | {found.p99_s:.2f} s | {found.refused:.1%} | {found.repeated} | "
            f"{found.mean_replicas:.1f} | {found.busy:.0%} |"
        )


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    typer.run(main)
