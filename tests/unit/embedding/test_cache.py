"""The query cache: what it keeps, what it counts, and that threads share it."""

from __future__ import annotations

import copy
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rerank_plugins.embedding.cache import CacheStatistics, QueryVectorCache


def vectors(texts: list[str]) -> np.ndarray:
    return np.array([[float(len(text)), float(ord(text[0]))] for text in texts], dtype=np.float32).reshape(-1, 2)


def ask(cache: QueryVectorCache, texts: list[str]) -> tuple[np.ndarray, list[str]]:
    found, missing = cache.look_up("s", texts)
    return cache.complete("s", texts, found, missing, vectors(missing)), missing


def test_only_what_is_not_there_is_embedded_once() -> None:
    cache = QueryVectorCache(10)
    rows, missing = ask(cache, ["b", "a", "b"])
    assert missing == ["b", "a"]
    assert rows.tolist() == vectors(["b", "a", "b"]).tolist()
    rows, missing = ask(cache, ["a", "c"])
    assert missing == ["c"]
    assert rows.tolist() == vectors(["a", "c"]).tolist()
    assert cache.statistics() == CacheStatistics(hits=1, misses=4, entries=3, max_entries=10)


def test_the_one_not_used_for_longest_goes_first() -> None:
    cache = QueryVectorCache(2)
    ask(cache, ["a"])
    ask(cache, ["b"])
    ask(cache, ["a"])
    ask(cache, ["c"])
    assert ask(cache, ["a", "c"])[1] == []
    assert ask(cache, ["b"])[1] == ["b"]


def test_a_call_larger_than_the_cache_gets_all_its_vectors() -> None:
    cache = QueryVectorCache(1)
    texts = ["a", "b", "c"]
    assert ask(cache, texts)[0].tolist() == vectors(texts).tolist()
    assert cache.statistics().entries == 1


def test_callers_cannot_reach_into_it() -> None:
    cache = QueryVectorCache(4)
    rows, _ = ask(cache, ["a"])
    rows[:] = -1
    found, _ = cache.look_up("s", ["a"])
    again = cache.complete("s", ["a"], found, [], vectors([]))
    again[:] = -2
    assert ask(cache, ["a"])[0].tolist() == vectors(["a"]).tolist()


def test_one_vector_does_not_keep_its_whole_batch_in_memory() -> None:
    cache = QueryVectorCache(1)
    ask(cache, ["a", "b", "c"])
    found, _ = cache.look_up("s", ["c"])
    assert found["c"].base is None


def test_clearing_keeps_the_counters() -> None:
    cache = QueryVectorCache(4)
    ask(cache, ["a"])
    cache.clear()
    assert ask(cache, ["a"])[1] == ["a"]
    assert cache.statistics().misses == 2


def test_threads_lose_no_count() -> None:
    cache = QueryVectorCache(3)

    def run(seed: int) -> bool:
        texts = [chr(97 + (seed * step) % 7) for step in range(1, 6)]
        return bool((ask(cache, texts)[0] == vectors(texts)).all())

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(run, range(400)))
    told = cache.statistics()
    assert told.hits + told.misses == 2_000
    assert told.entries <= 3


@given(
    st.lists(st.lists(st.text("abcdef", min_size=1, max_size=2), min_size=1, max_size=6), max_size=12),
    st.integers(1, 5),
)
def test_every_call_gets_the_vectors_of_its_texts(calls: list[list[str]], size: int) -> None:
    cache = QueryVectorCache(size)
    for texts in calls:
        assert ask(cache, texts)[0].tolist() == vectors(texts).tolist()
        assert cache.statistics().entries <= size


def test_settings_have_vectors_of_their_own_and_a_copy_is_empty() -> None:
    cache = QueryVectorCache(9)
    ask(cache, ["a"])
    assert cache.look_up("other", ["a"]) == ({}, ["a"])
    assert copy.deepcopy(cache).statistics() == CacheStatistics(hits=0, misses=0, entries=0, max_entries=9)
