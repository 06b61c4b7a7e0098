"""Metadata is copied at any depth, what it holds is shared."""

from __future__ import annotations

import threading
from typing import Any

from rerank_plugins.adapters.containers import own_containers


class Named(dict[str, int]):
    pass


def test_containers_are_own_and_leaves_are_shared() -> None:
    lock = threading.Lock()
    value: dict[str, Any] = {"list": [1, {"deep": [2]}], "set": {3}, "tuple": ([4], lock), "named": Named(a=1)}
    again = own_containers(value)
    assert again == value
    assert again["tuple"][1] is lock
    assert type(again["named"]) is Named
    again["list"][1]["deep"].append(5)
    again["set"].add(6)
    again["tuple"][0].append(7)
    again["named"]["b"] = 2
    assert value == {"list": [1, {"deep": [2]}], "set": {3}, "tuple": ([4], lock), "named": {"a": 1}}


def test_cycles_stay_cycles() -> None:
    value: dict[str, Any] = {"list": []}
    value["list"].append(value)
    again = own_containers(value)
    assert again["list"][0] is again
    assert again is not value
