"""The sums and simulations of the plan for many machines, against what can be computed by hand."""

from __future__ import annotations

import pytest

from benchmarks.scale import Fleet, bulk_overhead, expected_overhead, machines, simulate_serving


def test_machines_by_hand() -> None:
    # 86,400 s at 100 a second and half of the time: 4,320,000 a day.
    assert machines(4_320_000, items_per_s=100, busy=0.5) == 1
    assert machines(4_320_001, items_per_s=100, busy=0.5) == 2


@pytest.mark.parametrize(("block_s", "death_s"), [(60.0, 3_600.0), (600.0, 3_600.0), (600.0, 86_400.0)])
def test_processes_that_die_cost_what_the_formula_says(block_s: float, death_s: float) -> None:
    sums = expected_overhead(block_s, death_s=death_s, start_s=60.0)
    assert bulk_overhead(block_s, death_s=death_s, start_s=60.0) == pytest.approx(sums, rel=0.01)
    assert sums > 1


def test_a_fleet_without_waiting_takes_as_long_as_its_requests() -> None:
    fleet = Fleet(pairs_per_s=100.0, requests_per_s=1.0, pairs_per_request=10.0, peak=1.0, replicas=200)
    found = simulate_serving(fleet, seconds=2_000.0)
    # The median of a log-normal with the mean 10 and sigma 0.8 is 7.26; nearly nothing waits.
    assert found.p50_s == pytest.approx(0.0726, rel=0.1)
    assert found.refused == 0
    assert found.busy == pytest.approx(10 / 100 / 200, rel=0.1)


def test_too_few_replicas_refuse_what_they_cannot_do() -> None:
    fleet = Fleet(pairs_per_s=100.0, requests_per_s=8.0, pairs_per_request=50.0, peak=1.0, replicas=2, max_replicas=2)
    found = simulate_serving(fleet, seconds=3_000.0)
    # 400 pairs a second come, 200 are done.
    assert found.refused == pytest.approx(0.5, abs=0.05)
    assert found.busy > 0.95
    assert found.p99_s < (2_000 + 2_000) / 100


def test_the_scaler_ends_the_refusals_and_the_dead_lose_nothing() -> None:
    common = {"pairs_per_s": 100.0, "requests_per_s": 8.0, "pairs_per_request": 50.0, "replicas": 2, "max_replicas": 40}
    scaled = simulate_serving(Fleet(**common, peak=1.0), seconds=3_000.0)  # type: ignore[arg-type]
    dying = simulate_serving(Fleet(**common, peak=1.0, death_s=300.0), seconds=3_000.0)  # type: ignore[arg-type]
    assert scaled.refused < 0.1
    assert 2 < scaled.mean_replicas < 40
    assert dying.repeated > 0
    assert simulate_serving(Fleet(**common), seconds=500.0) == simulate_serving(Fleet(**common), seconds=500.0)  # type: ignore[arg-type]
