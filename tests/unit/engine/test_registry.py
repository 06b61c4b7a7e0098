"""Loading once, counting references, and surviving failures."""

from __future__ import annotations

import gc
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from rerank_plugins.engine.registry import Lease, ModelRegistry
from rerank_plugins.errors import EngineClosedError


class Model:
    def __init__(self) -> None:
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


def test_32_threads_load_once() -> None:
    registry = ModelRegistry()
    loads: list[Model] = []

    def load() -> Model:
        time.sleep(0.05)
        loads.append(Model())
        return loads[-1]

    with ThreadPoolExecutor(32) as pool:
        leases: list[Lease[Model]] = list(pool.map(lambda _: registry.acquire("key", load), range(32)))
    assert len(loads) == 1
    assert {id(lease.value) for lease in leases} == {id(loads[0])}


def test_the_last_close_frees_and_the_next_acquire_loads_again() -> None:
    registry = ModelRegistry()
    first, second = registry.acquire("key", Model), registry.acquire("key", Model)
    model = first.value
    first.close()
    first.close()
    assert model.closed == 0
    assert second.value is model
    with pytest.raises(EngineClosedError):
        _ = first.value
    second.close()
    assert model.closed == 1
    assert len(registry) == 0
    assert registry.acquire("key", Model).value is not model


def test_garbage_collection_leaves_the_model_idle_for_the_next_one() -> None:
    registry = ModelRegistry()
    model = registry.acquire("key", Model).value
    gc.collect()
    assert model.closed == 0
    lease = registry.acquire("key", Model)
    assert lease.value is model
    assert registry.unload_idle() == 0
    del lease
    gc.collect()
    assert registry.unload_idle() == 1
    assert model.closed == 1
    assert len(registry) == 0


def test_a_failed_load_reaches_every_waiter_and_the_next_call_tries_again() -> None:
    registry = ModelRegistry()
    entered, go = threading.Event(), threading.Event()

    def fail() -> Model:
        entered.set()
        go.wait(10)
        msg = "disk on fire"
        raise OSError(msg)

    with ThreadPoolExecutor(3) as pool:
        futures = [pool.submit(registry.acquire, "key", fail)]
        assert entered.wait(10)
        futures += [pool.submit(registry.acquire, "key", Model) for _ in range(2)]
        time.sleep(0.05)
        go.set()
        for future in futures:
            with pytest.raises(OSError, match="disk on fire"):
                future.result(10)
    assert registry.acquire("key", Model).value.closed == 0


def test_different_keys_do_not_wait_for_each_other() -> None:
    registry = ModelRegistry()
    go = threading.Event()

    def slow() -> Model:
        assert go.wait(10)
        return Model()

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(registry.acquire, "slow", slow)
        assert registry.acquire("fast", Model).value.closed == 0
        go.set()
        waiting.result(10)
