"""Window splitting: BCEmbedding's rule by hand, and properties that any split must have."""

from __future__ import annotations

from itertools import pairwise

import tiny_checkpoints
from hypothesis import given
from hypothesis import strategies as st

from rerank_plugins.text.tokenizer import TextTokenizer
from rerank_plugins.text.windows import character_span, window_ranges
from rerank_plugins.types import WindowSpan


def test_windows_by_hand() -> None:
    # room 100: overlap min(80, 100 // 4) = 25; each window starts 25 tokens before the last one's end.
    assert window_ranges(230, room=100, overlap=80) == [(0, 100), (75, 175), (150, 230)]
    # room 400: the overlap of 80 is below a quarter.
    assert window_ranges(900, room=400, overlap=80) == [(0, 400), (320, 720), (640, 900)]
    assert window_ranges(100, room=100, overlap=80) == [(0, 100)]
    assert window_ranges(101, room=100, overlap=0) == [(0, 100), (100, 101)]
    assert window_ranges(0, room=100, overlap=80) == [(0, 0)]


@given(n_tokens=st.integers(0, 500), room=st.integers(1, 80), overlap=st.integers(0, 100))
def test_windows_cover_everything_in_order(n_tokens: int, room: int, overlap: int) -> None:
    ranges = window_ranges(n_tokens, room=room, overlap=overlap)
    assert ranges[0][0] == 0
    assert ranges[-1][1] == n_tokens
    for (_, end), (start, _) in pairwise(ranges):
        assert end - start == min(overlap, room // 4)
    assert all(end - start <= room for start, end in ranges)
    assert all(end - start == room for start, end in ranges[:-1])


def test_character_span_points_into_the_original_text() -> None:
    encoder = TextTokenizer(tiny_checkpoints.wordpiece())
    text = "Paris  is\n\tthe Capital of France \ud800 大熊猫是中国"
    tokens = encoder.encode_one(text)
    span = character_span(tokens, 0, 1)
    assert text[span.start : span.end].lower().startswith("p")
    whole = character_span(tokens, 0, len(tokens))
    assert whole == WindowSpan(0, len(text))
    assert character_span(tokens, 2, 2) == WindowSpan(0, 0)
