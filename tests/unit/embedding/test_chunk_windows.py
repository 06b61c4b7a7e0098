"""Windows of long texts, and from which of them a chunk is taken: by definition, tried over all choices."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from rerank_plugins.embedding.chunk_windows import chunk_pieces, context_windows, token_ranges

Range = tuple[int, int]


@settings(derandomize=True, deadline=None, max_examples=300)
@given(st.integers(0, 200), st.integers(1, 40), st.integers(0, 60))
def test_windows_cover_the_text_are_full_and_share_what_they_should(n: int, room: int, overlap: int) -> None:
    windows = context_windows(n, room=room, overlap=overlap)
    assert {token for start, end in windows for token in range(start, end)} == set(range(n))
    assert all(end - start == min(room, n) for start, end in windows)
    assert len(set(windows)) == len(windows)
    for (_, end), (start, _) in itertools.pairwise(windows):
        assert end - start >= min(overlap, room // 2)


def context(window: Range, chunk: Range, n: int) -> float:
    """The tokens between a chunk and the nearer edge of its window; the text's own edge is none."""
    left = chunk[0] - window[0] if window[0] > 0 else float("inf")
    right = window[1] - chunk[1] if window[1] < n else float("inf")
    return min(left, right)


@settings(derandomize=True, deadline=None, max_examples=300)
@given(st.integers(1, 120), st.integers(2, 40), st.integers(0, 20), st.data())
def test_a_chunk_is_taken_from_the_window_with_most_context_on_both_sides(
    n: int, room: int, overlap: int, data: st.DataObject
) -> None:
    windows = context_windows(n, room=room, overlap=overlap)
    start = data.draw(st.integers(0, n))
    chunk = (start, data.draw(st.integers(start, n)))
    pieces = chunk_pieces(windows, [chunk])
    assert [token for one in pieces for token in range(one.start, one.end)] == list(range(*chunk))
    assert all(windows[one.window][0] <= one.start < one.end <= windows[one.window][1] for one in pieces)
    holding = [one for one in windows if one[0] <= chunk[0] and chunk[1] <= one[1]]
    if holding and chunk[1] > chunk[0]:
        (piece,) = pieces
        assert context(windows[piece.window], chunk, n) == max(context(one, chunk, n) for one in holding)
    for one in pieces if not holding else []:
        for token in range(one.start, one.end):
            around = [context(window, (token, token + 1), n) for window in windows if window[0] <= token < window[1]]
            assert context(windows[one.window], (token, token + 1), n) == max(around)


@settings(derandomize=True, deadline=None)
@given(st.lists(st.integers(1, 5)), st.data())
def test_every_token_belongs_to_one_span_of_a_partition(lengths: list[int], data: st.DataObject) -> None:
    ends = [sum(lengths[: number + 1]) for number in range(len(lengths))]
    offsets = list(zip([0, *ends], ends, strict=False))
    cuts = sorted(data.draw(st.lists(st.integers(0, sum(lengths)), max_size=6)))
    spans = list(zip([0, *cuts], [*cuts, sum(lengths)], strict=True))
    ranges = token_ranges(offsets, spans)
    assert [token for start, end in ranges for token in range(start, end)] == list(range(len(lengths)))
    for (start, end), (first, behind) in zip(spans, ranges, strict=True):
        assert all(start <= offsets[token][1] - 1 < end for token in range(first, behind))


def test_a_token_with_the_space_before_it_belongs_to_the_sentence_behind() -> None:
    # "One. Two" as a SentencePiece tokenizer gives it: the space is part of the second word.
    assert token_ranges([(0, 3), (3, 4), (4, 8)], [(0, 5), (5, 8)]) == [(0, 2), (2, 3)]
