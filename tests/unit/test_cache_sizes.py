"""What the caches that a user can size take for an entry, however long the text behind it is."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest

from rerank_plugins import ScoreCache
from rerank_plugins.embedding.cache import QueryVectorCache
from rerank_plugins.protocols import PairSegments, TokenInput

ENTRIES, WIDTH = 300, 64


def fill_scores(n_tokens: int) -> object:
    cache = ScoreCache(ENTRIES)
    for number in range(3 * ENTRIES):
        ids = np.full(n_tokens, number, dtype=np.int32)
        one = TokenInput(ids, ids * 0, PairSegments(1, 2, 3, n_tokens))
        cache.put("model", None, one, np.ones(WIDTH, dtype=np.float32))
        found = cache.get("model", None, one)
        assert found is not None
        assert found.shape == (WIDTH,)
    assert cache.info().entries == ENTRIES
    return cache


def fill_vectors(n_characters: int) -> object:
    cache = QueryVectorCache(ENTRIES)
    rows = np.ones((1, WIDTH), dtype=np.float32)
    for number in range(3 * ENTRIES):
        text = f"{number} " + "大" * n_characters
        cache.complete(("model", 1), [text], {}, [text], rows)
        assert cache.look_up(("model", 1), [text])[1] == []
    assert cache.statistics().entries == ENTRIES
    return cache


@pytest.mark.parametrize("length", [3, 500, 20_000])
@pytest.mark.parametrize(("fill", "documented"), [(fill_scores, 600), (fill_vectors, 500)])
def test_an_entry_takes_what_is_documented(fill: Callable[[int], object], documented: int, length: int) -> None:
    fill(3)  # modules, interned strings
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        cache = fill(length)
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert cache is not None
    assert taken / ENTRIES <= 1.1 * documented + 4 * WIDTH


def test_inputs_that_differ_anywhere_have_entries_of_their_own() -> None:
    cache = ScoreCache()
    ids = np.arange(6, dtype=np.int32)
    inputs = [
        TokenInput(ids, ids * 0),
        TokenInput(ids, ids * 0 + 1),
        TokenInput(ids[::-1].copy(), ids * 0),
        TokenInput(ids[:5], ids[:5] * 0),
        TokenInput(ids, ids * 0, PairSegments(0, 1, 2, 3)),
        TokenInput(ids, ids * 0, PairSegments(0, 1, 2, 4)),
    ]
    for number, one in enumerate(inputs):
        assert cache.get("model", None, one) is None
        cache.put("model", None, one, np.array([number], dtype=np.float32))
    for number, one in enumerate(inputs):
        row = cache.get("model", None, one)
        assert row is not None
        assert row.tolist() == [number]
    assert cache.get("another", None, inputs[0]) is None
    assert cache.get("model", "options", inputs[0]) is None
