"""The score cache's keys: whatever changes a score makes another entry."""

from __future__ import annotations

import numpy as np

from rerank_plugins.engine.score_cache import ScoreCache
from rerank_plugins.protocols import PairSegments, TokenInput

IDS = [5, 6, 7, 8]
SEGMENTS = PairSegments(0, 2, 2, 4)


def token_input(ids: list[int], types: list[int], segments: PairSegments | None) -> TokenInput:
    return TokenInput(np.array(ids, dtype=np.int32), np.array(types, dtype=np.int32), segments)


def test_ids_segment_ids_segments_model_and_options_make_an_entry() -> None:
    one = token_input(IDS, [0, 0, 1, 1], SEGMENTS)
    others = [
        ("model", None, token_input([5, 6, 7, 9], [0, 0, 1, 1], SEGMENTS)),
        ("model", None, token_input(IDS, [0, 0, 0, 1], SEGMENTS)),
        ("model", None, token_input(IDS, [0, 0, 1, 1], PairSegments(0, 1, 1, 4))),
        ("model", None, token_input(IDS, [0, 0, 1, 1], None)),
        ("other", None, one),
        ("model", "layer 3", one),
    ]
    cache = ScoreCache()
    cache.put("model", None, one, np.array([1.5], dtype=np.float32))
    for model, options, other in others:
        assert cache.get(model, options, other) is None
    equal = token_input([*IDS], [0, 0, 1, 1], PairSegments(0, 2, 2, 4))
    found = cache.get("model", None, equal)
    assert found is not None
    assert found.tolist() == [1.5]


def test_the_entry_that_was_not_asked_for_the_longest_goes_first() -> None:
    first, second, third = (token_input([number], [0], None) for number in (1, 2, 3))
    cache = ScoreCache(max_entries=2)
    for number, one in enumerate((first, second)):
        cache.put("model", None, one, np.array([number], dtype=np.float32))
    assert cache.get("model", None, first) is not None
    cache.put("model", None, third, np.array([2], dtype=np.float32))
    assert [cache.get("model", None, one) is None for one in (first, second, third)] == [False, True, False]
    assert cache.info().entries == 2
