"""How many replicas a cluster is asked for. The cluster itself is in tests/cluster."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from rerank_plugins.errors import InvalidInputError, MissingExtraError
from rerank_plugins.serving.on_ray import (
    RayReplicas,
    WaitingTokensPolicy,
    desired_replicas,
    ray_application,
    serve_on_ray,
)
from rerank_plugins.serving.settings import ModelPlan, ServeSettings


@pytest.mark.parametrize(
    ("waiting", "replicas"), [(0, 1), (1, 1), (50_000, 1), (50_001, 2), (100_000, 2), (1_000_000, 20)]
)
def test_replicas_by_the_tokens_that_wait(waiting: int, replicas: int) -> None:
    assert desired_replicas(waiting, 50_000) == replicas


def test_the_newest_figure_of_each_replica_counts() -> None:
    series = {
        "one": [SimpleNamespace(value=90_000.0), SimpleNamespace(value=40_000.0)],
        "two": [SimpleNamespace(value=70_000.0)],
        "new": [],
    }
    policy = WaitingTokensPolicy(50_000)
    assert policy(SimpleNamespace(raw_metrics={"waiting_tokens": series})) == (3, {})
    assert policy(SimpleNamespace(raw_metrics=None)) == (1, {})


def test_bounds_that_cross_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="max_replicas=1 is below replicas=2"):
        RayReplicas(replicas=2, max_replicas=1)


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ray.serve", None)
    with pytest.raises(MissingExtraError, match=r"rerank-plugins\[ray\]"):
        ray_application(ServeSettings(models=(ModelPlan.of("mini"),)), RayReplicas())


@pytest.mark.parametrize("options", [{"cpus": 0.0}, {"gpus": -1.0}, {"replicas": 0}])
def test_replicas_that_cannot_be(options: dict[str, float]) -> None:
    with pytest.raises(InvalidInputError, match=next(iter(options))):
        RayReplicas(**options)  # type: ignore[arg-type]


def test_a_free_port_is_refused() -> None:
    settings = ServeSettings(models=(ModelPlan.of("mini"),))
    with pytest.raises(InvalidInputError, match="port 0"):
        serve_on_ray(settings, RayReplicas(), host="127.0.0.1", port=0, address=None)
