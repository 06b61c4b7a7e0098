"""Documents compressed in a row of texts, against the rule by hand and one text at a time."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from rerank_plugins.nn.compression import compress_documents
from rerank_plugins.nn.packed_row import PackedRow
from rerank_plugins.nn.prefixes import PrefixGroup

CPU = torch.device("cpu")


def row_of(*sizes: tuple[int, int, int]) -> PackedRow:
    """Return a row of texts with so many tokens before their document, in it, and after it."""
    documents = [(before, before + document) for before, document, _ in sizes]
    return PackedRow([sum(one) for one in sizes], CPU, documents=documents)


def test_by_hand() -> None:
    states = torch.tensor([[1.0], [2.0], [10.0], [20.0], [60.0], [5.0], [7.0], [8.0]])
    found, kept = compress_documents(states, row_of((2, 3, 1), (1, 1, 0)), ratio=2)
    assert found.flatten().tolist() == [1.0, 2.0, 15.0, 60.0, 5.0, 7.0, 8.0]
    assert (kept.lengths, kept.documents) == ([5, 2], [(2, 4), (1, 2)])
    assert kept.positions.tolist() == [0, 1, 2, 3, 4, 0, 1]
    assert kept.last_tokens.tolist() == [4, 6]


def test_precision_stays_and_means_are_made_in_float32() -> None:
    # 256 + 1 is 256 in bfloat16: summed there, the mean of 256 and three ones would be 64.
    states = torch.tensor([[256.0], [1.0], [1.0], [1.0]], dtype=torch.bfloat16)
    found, _ = compress_documents(states, row_of((0, 4, 0)), ratio=4)
    assert found.dtype == torch.bfloat16
    assert found.item() == torch.tensor(259 / 4).to(torch.bfloat16).item()


@given(
    sizes=st.lists(st.tuples(st.integers(1, 9), st.integers(0, 30), st.integers(0, 5)), min_size=1, max_size=5),
    ratio=st.sampled_from([1, 2, 4, 8]),
)
def test_a_text_in_a_row_is_compressed_as_it_is_alone(sizes: list[tuple[int, int, int]], ratio: int) -> None:
    row = row_of(*sizes)
    states = torch.randn(sum(map(sum, sizes)), 3, generator=torch.Generator().manual_seed(len(sizes)))
    found, kept = compress_documents(states, row, ratio=ratio)
    expected = []
    for (query, document, _), text in zip(sizes, states.split([sum(size) for size in sizes]), strict=True):
        groups = text[query : query + document].split(ratio) if document else ()
        expected += [text[:query], *(group.mean(0, keepdim=True) for group in groups), text[query + document :]]
    assert torch.allclose(found, torch.cat(expected), atol=1e-6)
    assert kept.lengths == [query + -(-document // ratio) + prompt for query, document, prompt in sizes]
    if ratio == 1:
        assert (kept.lengths, kept.documents) == (row.lengths, row.documents)


def test_rests_of_inputs_with_a_common_prefix() -> None:
    groups = [PrefixGroup((0, 1), 3), PrefixGroup((2,))]
    row = PackedRow.of_groups([11, 7, 6], groups, CPU, documents=[(4, 9), (4, 5), (3, 5)])
    assert row.lengths == [3, 8, 4, 6]
    assert row.documents == [(3, 3), (1, 6), (1, 2), (3, 5)]
    _, kept = compress_documents(torch.zeros(row.tokens, 2), row, ratio=4)
    assert kept.lengths == [3, 5, 4, 5]
    assert kept.prefixes == [None, 0, 0, None]
    assert kept.positions.tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 3, 4, 5, 6, 0, 1, 2, 3, 4]
    assert kept.last_tokens.tolist() == [7, 11, 16]


def test_a_text_without_a_document_is_never_compressed() -> None:
    states = torch.arange(4.0).unsqueeze(1)
    for row in (PackedRow([4], CPU), PackedRow([4], CPU, documents=[(4, 4)])):
        found, kept = compress_documents(states, row, ratio=2)
        assert found.tolist() == states.tolist()
        assert kept.lengths == [4]
