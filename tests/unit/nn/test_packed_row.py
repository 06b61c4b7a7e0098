"""A packed row by hand: where its texts, their tokens and their keys lie, with and without shared prefixes."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rerank_plugins.nn.packed_row import PackedRow
from rerank_plugins.nn.prefixes import PrefixGroup, prefix_groups

CPU = torch.device("cpu")
ROW = PackedRow([7, 4, 4, 4, 2, 1, 1], CPU)


def test_where_texts_lie() -> None:
    assert ROW.runs == [(0, 7, 1, None), (7, 4, 3, None), (19, 2, 1, None), (21, 1, 2, None)]
    assert ROW.first_tokens.tolist() == [0, 7, 11, 15, 19, 21, 22]
    assert ROW.ends.tolist() == [7, 11, 15, 19, 21, 22, 23]
    assert ROW.cu_seqlens.tolist() == [0, 7, 11, 15, 19, 21, 22, 23]
    assert ROW.longest == 7


def test_whose_tokens_they_are() -> None:
    row = PackedRow([3, 1, 2], CPU)
    assert (row.tokens, row.seqlens.tolist()) == (6, [3, 1, 2])
    assert row.text_of_token.tolist() == [0, 0, 0, 1, 2, 2]
    assert row.positions.tolist() == [0, 1, 2, 0, 0, 1]
    assert row.last_tokens.tolist() == [2, 3, 5]
    assert row.gathered([np.array([7, 8, 9]), np.array([4]), np.array([5, 6])]).tolist() == [7, 8, 9, 4, 5, 6]


def test_a_shared_prefix_lies_before_the_rests() -> None:
    # Inputs 0 and 2 share their first two tokens; input 1 shares nothing.
    row = PackedRow.of_groups([4, 2, 3], [PrefixGroup((0, 2), 2), PrefixGroup((1,))], CPU)
    inputs = [np.array([1, 2, 3, 4]), np.array([8, 9]), np.array([1, 2, 5])]
    assert (row.lengths, row.prefixes, row.sources) == ([2, 2, 1, 2], [None, 0, 0, None], [0, 0, 2, 1])
    assert row.gathered(inputs).tolist() == [1, 2, 3, 4, 5, 8, 9]
    assert row.positions.tolist() == [0, 1, 2, 3, 2, 0, 1]
    assert row.last_tokens.tolist() == [3, 6, 4]
    assert row.is_shared
    assert row.documents is None


def test_inputs_that_share_nothing_stay_in_their_order() -> None:
    groups = [PrefixGroup((2,)), PrefixGroup((0,)), PrefixGroup((1,))]
    row = PackedRow.of_groups([2, 1, 3], groups, CPU, documents=[(1, 2), (1, 1), (0, 3)])
    assert (row.lengths, row.sources, row.documents) == ([2, 1, 3], None, [(1, 2), (1, 1), (0, 3)])
    assert row.last_tokens.tolist() == [1, 2, 5]


def test_documents_are_counted_from_the_end_of_a_shared_prefix() -> None:
    groups = [PrefixGroup((0, 1), 3), PrefixGroup((2,))]
    row = PackedRow.of_groups([11, 7, 6], groups, CPU, documents=[(4, 9), (4, 5), (3, 5)])
    assert row.lengths == [3, 8, 4, 6]
    assert row.documents == [(3, 3), (1, 6), (1, 2), (3, 5)]


def test_where_the_keys_of_continued_texts_lie() -> None:
    row = PackedRow([2, 1, 1, 3], torch.device("cpu"), prefixes=[None, 0, 0, None])
    assert row.runs == [(0, 2, 1, None), (2, 1, 2, (0, 2)), (4, 3, 1, None)]
    assert row.key_rows is not None
    assert row.key_rows.tolist() == [0, 1, 0, 1, 2, 0, 1, 3, 4, 5, 6]
    assert row.key_cu_seqlens.tolist() == [0, 2, 5, 8, 11]
    assert ROW.key_rows is None
    assert ROW.key_cu_seqlens.tolist() == ROW.cu_seqlens.tolist()


def saved(groups: list[PrefixGroup]) -> int:
    return sum((len(group.members) - 1) * group.tokens for group in groups)


@settings(derandomize=True, deadline=None)
@given(rows=st.lists(st.lists(st.integers(0, 1), min_size=1, max_size=9), min_size=1, max_size=14))
def test_a_row_holds_every_input(rows: list[list[int]]) -> None:
    inputs = [np.array(row, dtype=np.int32) for row in rows]
    groups = prefix_groups(inputs, least_saved_tokens=1)
    row = PackedRow.of_groups([len(one) for one in rows], groups, CPU)
    gathered = row.gathered(inputs)
    assert len(gathered) == row.tokens == sum(map(len, rows)) - saved(groups)
    ends = np.cumsum(row.lengths)
    for numbers, last in zip(rows, row.last_tokens.tolist(), strict=True):
        text = int(np.searchsorted(ends, last, side="right"))
        chain = [text] if row.prefixes[text] is None else [row.prefixes[text], text]
        tokens = np.concatenate([np.arange(ends[one] - row.lengths[one], ends[one]) for one in chain])
        assert last == ends[text] - 1
        assert gathered[tokens].tolist() == numbers
        assert row.positions[tokens].tolist() == list(range(len(numbers)))
    assert all(one is None or one < place for place, one in enumerate(row.prefixes))
