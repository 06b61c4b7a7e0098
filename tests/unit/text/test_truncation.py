"""The truncation rules against the tokenizers' own behaviour and by hand."""

from __future__ import annotations

import pytest
import tiny_checkpoints
from hypothesis import given, settings
from hypothesis import strategies as st

from rerank_plugins.text.truncation import cut_lengths, longest_first, only_second, query_limit_with_windows

LENGTHS = st.integers(min_value=0, max_value=60)
ROOMS = st.integers(min_value=2, max_value=50)

TOKENIZER = tiny_checkpoints.wordpiece()


@settings(max_examples=300, deadline=None)
@given(n_first=LENGTHS, n_second=LENGTHS, room=ROOMS)
def test_longest_first_equals_the_tokenizers_library(n_first: int, n_second: int, room: int) -> None:
    TOKENIZER.enable_truncation(max_length=room + 3, strategy="longest_first")
    encoding = TOKENIZER.encode("the " * n_first, "panda " * n_second)
    # Segment ids tell the texts apart: [CLS] A [SEP] is 0, B [SEP] is 1.
    kept_first = encoding.type_ids.count(0) - 2
    kept_second = encoding.type_ids.count(1) - 1
    TOKENIZER.no_truncation()
    assert len(TOKENIZER.encode("the panda", add_special_tokens=False).ids) == 2
    assert longest_first(n_first, n_second, room=room) == (kept_first, kept_second)


def test_only_second_by_hand() -> None:
    # FlagEmbedding, max_length 512: query cut to 384, 4 special tokens, the passage gets 512 - 4 - 384.
    assert only_second(500, 900, room=508, query_limit=384) == (384, 124)
    assert only_second(10, 900, room=508, query_limit=384) == (10, 498)
    assert only_second(10, 20, room=508, query_limit=384) == (10, 20)


@given(n_query=LENGTHS, n_document=LENGTHS, room=ROOMS, limit=st.one_of(st.none(), st.integers(1, 60)))
@pytest.mark.parametrize("rule", ["longest_first", "only_second"])
def test_every_rule_fits_the_room_and_keeps_some_of_a_document(
    rule: str, n_query: int, n_document: int, room: int, limit: int | None
) -> None:
    kept_query, kept_document = cut_lengths(rule, n_query=n_query, n_document=n_document, room=room, query_limit=limit)
    assert 0 <= kept_query <= n_query
    assert 0 <= kept_document <= n_document
    assert kept_query + kept_document <= room
    assert kept_document > 0 or n_document == 0
    if n_query + n_document <= room and limit is None:
        assert (kept_query, kept_document) == (n_query, n_document)


def test_query_limit_keeps_every_query_that_bcembedding_accepts() -> None:
    # BCEmbedding: room = 512 - (n + 2) - 2 must be more than 100, so n may be 407.
    assert query_limit_with_windows(max_length=512, n_special=4) == 407
    assert query_limit_with_windows(max_length=64, n_special=4) == 44
    assert query_limit_with_windows(max_length=6, n_special=4) == 1


@pytest.mark.parametrize(
    ("n_query", "n_document", "limit", "expected"),
    [
        (3, 4, None, (3, 4)),
        (3, 40, None, (3, 7)),
        (10, 5, None, (10, 0)),
        (40, 5, None, (10, 0)),
        (40, 5, 4, (4, 5)),
        (40, 50, 4, (4, 6)),
    ],
)
def test_end_cuts_query_and_document_as_one_text(
    n_query: int, n_document: int, limit: int | None, expected: tuple[int, int]
) -> None:
    assert cut_lengths("end", n_query=n_query, n_document=n_document, room=10, query_limit=limit) == expected
