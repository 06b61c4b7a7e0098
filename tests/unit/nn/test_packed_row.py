"""The packed row: its tokens as tensors, and where its sequences, keys and documents are."""

from __future__ import annotations

import numpy as np
import torch

from rerank_plugins.nn.packed_row import PackedRow
from rerank_plugins.nn.prefixes import PrefixGroup
from rerank_plugins.protocols import PairSegments, TokenInput

CPU = torch.device("cpu")


def one_input(*ids: int, document: tuple[int, int] | None = None) -> TokenInput:
    numbers = np.array(ids, dtype=np.int32)
    segments = None if document is None else PairSegments(0, document[0], *document)
    return TokenInput(numbers, (numbers % 2).astype(np.int32), segments)


INPUTS = [one_input(4, 5, 6), one_input(4, 5, 7, 8), one_input(9)]


def test_where_sequences_are() -> None:
    row = PackedRow([7, 4, 4, 4, 2, 1, 1], CPU)
    assert row.tokens == 23
    assert row.runs == [(0, 7, 1, None), (7, 4, 3, None), (19, 2, 1, None), (21, 1, 2, None)]
    assert row.starts.tolist() == [0, 7, 11, 15, 19, 21, 22]
    assert row.ends.tolist() == [7, 11, 15, 19, 21, 22, 23]
    assert row.last_tokens.tolist() == [6, 10, 14, 18, 20, 21, 22]
    assert row.cu_seqlens.tolist() == [0, 7, 11, 15, 19, 21, 22, 23]
    assert row.cu_seqlens.dtype == row.key_cu_seqlens.dtype == row.one_each.dtype == torch.int32
    assert row.one_each.tolist() == [0, 1, 2, 3, 4, 5, 6, 7]
    assert row.max_seqlen == 7
    assert row.key_rows is None
    assert row.key_cu_seqlens.tolist() == row.cu_seqlens.tolist()
    assert PackedRow([2, 3], CPU).sequence_of_token.tolist() == [0, 0, 1, 1, 1]


def test_where_the_keys_of_shared_prefixes_are() -> None:
    row = PackedRow([2, 1, 1, 3], CPU, prefixes=[None, 0, 0, None])
    assert row.runs == [(0, 2, 1, None), (2, 1, 2, (0, 2)), (4, 3, 1, None)]
    assert row.key_rows is not None
    assert row.key_rows.tolist() == [0, 1, 0, 1, 2, 0, 1, 3, 4, 5, 6]
    assert row.key_cu_seqlens.tolist() == [0, 2, 5, 8, 11]


def test_tokens_of_whole_inputs() -> None:
    row = PackedRow.of(INPUTS, CPU)
    assert row.ids.tolist() == [4, 5, 6, 4, 5, 7, 8, 9]
    tensors = row.token_tensors(has_segments=True, spare=2)
    assert tensors.dtype == torch.int64
    assert tensors[:, 0].tolist() == [
        [4, 5, 6, 4, 5, 7, 8, 9, 0, 0],
        [0, 1, 2, 0, 1, 2, 3, 0, 0, 0],
        [0, 1, 0, 0, 1, 1, 0, 1, 0, 0],
    ]
    of_the_model = np.arange(8) + 5
    ids, positions, types = row.token_tensors(has_segments=False, position_ids=of_the_model)
    assert ids.tolist() == [row.ids.tolist()]
    assert positions.tolist() == [of_the_model.tolist()]
    assert not types.any()


def test_tokens_behind_a_shared_prefix() -> None:
    row = PackedRow.of(INPUTS, CPU, groups=[PrefixGroup((1, 0), 2), PrefixGroup((2,))])
    assert row.lengths == [2, 2, 1, 1]
    assert row.prefixes == [None, 0, 0, None]
    # The batch's order, not the row's.
    assert row.ids[row.last_tokens].tolist() == [6, 8, 9]
    assert row.token_tensors(has_segments=True)[:, 0].tolist() == [
        [4, 5, 7, 8, 6, 9],
        [0, 1, 2, 3, 2, 0],
        [0, 1, 1, 0, 0, 1],
    ]


def test_groups_that_share_nothing_leave_the_inputs_whole() -> None:
    groups = [PrefixGroup((2,)), PrefixGroup((0,)), PrefixGroup((1,))]
    row = PackedRow.of(INPUTS, CPU, groups=groups)
    assert row.ids.tolist() == PackedRow.of(INPUTS, CPU).ids.tolist()
    assert row.last_tokens.tolist() == [2, 6, 7]


def test_where_documents_are() -> None:
    inputs = [one_input(1, 2, 3, 4, 5, document=(2, 4)), one_input(1, 2, 3, 9, document=(2, 4)), one_input(7, 8)]
    assert PackedRow.of(inputs, CPU).documents == [(2, 4), (2, 4), (2, 2)]
    # One that a prefix reaches into is split between the two.
    groups = [PrefixGroup((0, 1), 3), PrefixGroup((2,))]
    assert PackedRow.of(inputs, CPU, groups=groups).documents == [(2, 3), (0, 1), (0, 1), (2, 2)]


def test_another_number_of_document_tokens() -> None:
    inputs = [one_input(1, 2, 3, 4, 5, document=(2, 4)), one_input(1, 2, 6, 7, document=(2, 4))]
    row = PackedRow.of(inputs, CPU, groups=[PrefixGroup((0, 1), 2)])
    shorter = row.with_documents([0, 1, 1])
    assert shorter.lengths == [2, 2, 1]
    assert shorter.documents == [(2, 2), (0, 1), (0, 1)]
    assert shorter.prefixes == row.prefixes
    assert shorter.last_tokens.tolist() == [3, 4]
