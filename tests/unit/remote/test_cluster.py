"""The connection to a Ray cluster; a real one is in tests/cluster."""

from __future__ import annotations

import sys
from socket import socket
from types import SimpleNamespace
from typing import Any

import pytest

from rerank_plugins.errors import InvalidInputError, MissingExtraError
from rerank_plugins.remote.cluster import connected_ray


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Stand in for Ray, which is not among the packages of these tests, and return what it was asked."""
    calls: list[dict[str, Any]] = []
    ray = SimpleNamespace(is_initialized=lambda: False, init=lambda **options: calls.append(options))
    monkeypatch.setitem(sys.modules, "ray", ray)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    return calls


def test_a_cluster_that_runs_is_not_told_how_to_start(asked: list[dict[str, Any]]) -> None:
    connected_ray(None)
    assert asked[-1]["include_dashboard"] is False
    with socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        connected_ray(f"127.0.0.1:{listening.getsockname()[1]}")
    assert "include_dashboard" not in asked[-1]
    connected_ray("auto")
    assert asked[-1]["address"] == "auto"


def test_where_nobody_listens_it_is_told_at_once(asked: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    with socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(InvalidInputError, match=rf"no Ray cluster at {address} .*ray start --head"):
        connected_ray(address)
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(InvalidInputError, match=address):
        connected_ray(None)
    assert asked == []


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"rerank-plugins\[ray\]"):
        connected_ray(None)
