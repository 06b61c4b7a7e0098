"""Texts measured in words: where they are cut, which pieces a model reads, what is told of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rerank_plugins.text.words import cut_words, word_pieces
from rerank_plugins.types import LongDocuments, WindowSpan

TEXT = "Pandas eat 竹子, daily."  # seven words: Pandas, eat, 竹, 子, the comma, daily, the full stop


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        (1, ("Pandas", 1)),
        (2, ("Pandas eat", 2)),
        (3, ("Pandas eat 竹", 3)),
        (5, ("Pandas eat 竹子,", 5)),
        (6, ("Pandas eat 竹子, daily", 6)),
        (7, (TEXT, 7)),
        (8, (TEXT, 7)),
    ],
)
def test_a_text_is_cut_behind_its_last_word(limit: int, expected: tuple[str, int]) -> None:
    assert cut_words(TEXT, limit) == expected


def test_white_space_is_no_word() -> None:
    assert cut_words(" \n", 1) == (" \n", 0)
    assert cut_words(" a  b ", 1) == (" a", 1)


@pytest.mark.parametrize(
    ("text", "first", "n_words"),
    [
        ("दिल्ली भारत की राजधानी है", "दिल्ली", 5),
        ("cafe\u0301 au lait", "cafe\u0301", 3),
        ("ที่นี่", "ที่", 2),
        ("\u2764\ufe0f a", "\u2764\ufe0f", 2),
    ],
)
def test_marks_belong_to_the_letter_before_them(text: str, first: str, n_words: int) -> None:
    assert cut_words(text, 1) == (first, 1)
    assert cut_words(text, n_words) == (text, n_words)


def test_a_document_that_fits_is_one_piece() -> None:
    for room in (7, 8, 100):
        pieces = word_pieces(TEXT, room=room, long_documents=LongDocuments())
        assert (pieces.texts, pieces.truncated, pieces.span(0)) == ((TEXT,), False, None)


def test_windows_by_hand() -> None:
    # Room for four words, of which a quarter is shared.
    pieces = word_pieces("a b c d e f g", room=4, long_documents=LongDocuments(strategy="maxp", overlap_tokens=9))
    assert pieces.texts == ("a b c d", "d e f g")
    assert pieces.spans == (WindowSpan(0, 7), WindowSpan(6, 13))
    assert not pieces.truncated


@pytest.mark.parametrize("strategy", ["truncate", "firstp"])
def test_the_beginning_alone_is_told_as_cut(strategy: str) -> None:
    settings = LongDocuments(strategy=strategy)  # type: ignore[arg-type]
    pieces = word_pieces("a b c d e f g", room=4, long_documents=settings)
    assert (pieces.texts, pieces.truncated, pieces.span(0)) == (("a b c d",), True, WindowSpan(0, 7))


@pytest.mark.parametrize("room", [2, 100])
def test_characters_that_are_not_read_are_told(room: int) -> None:
    settings = LongDocuments(strategy="maxp", overlap_tokens=0, max_characters=7)
    assert word_pieces("a b c d e", room=room, long_documents=settings).truncated
    assert not word_pieces("a b c d", room=room, long_documents=settings).truncated


@given(st.text(alphabet="ab 竹,\n", min_size=1, max_size=60), st.integers(1, 9), st.integers(0, 9))
def test_windows_hold_every_word_and_no_more_than_their_room(text: str, room: int, overlap: int) -> None:
    pieces = word_pieces(text, room=room, long_documents=LongDocuments(strategy="maxp", overlap_tokens=overlap))
    read = set()
    for piece, span in zip(pieces.texts, pieces.spans, strict=True):
        assert piece == text[span.start : span.end]
        assert cut_words(piece, room) == (piece, cut_words(piece, 1_000)[1])
        read |= set(range(span.start, span.end))
    assert {place for place, sign in enumerate(text) if not sign.isspace()} <= read
    assert not pieces.truncated
