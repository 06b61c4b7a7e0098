"""Documents compressed in a row of texts, against the rule by hand and one text at a time."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from rerank_plugins.nn.compression import PieceSpan, compress_documents, piece_spans, positions_of, texts_of
from rerank_plugins.nn.prefixes import PrefixGroup, RowLayout
from rerank_plugins.protocols import PairSegments, TokenInput

CPU = torch.device("cpu")


def one_input(query: int, document: int, prompt: int) -> TokenInput:
    ids = np.arange(query + document + prompt, dtype=np.int32)
    return TokenInput(ids, np.zeros_like(ids), PairSegments(1, query, query, query + document))


def test_by_hand() -> None:
    states = torch.tensor([[1.0], [2.0], [10.0], [20.0], [60.0], [5.0], [7.0], [8.0]])
    spans = [PieceSpan(before=2, document=3, after=1), PieceSpan(before=1, document=1, after=0)]
    found, kept = compress_documents(states, spans, ratio=2)
    assert found.flatten().tolist() == [1.0, 2.0, 15.0, 60.0, 5.0, 7.0, 8.0]
    assert kept == [PieceSpan(before=2, document=2, after=1), PieceSpan(before=1, document=1, after=0)]
    assert positions_of(kept, CPU).tolist() == [0, 1, 2, 3, 4, 0, 1]


def test_precision_stays_and_means_are_made_in_float32() -> None:
    # 256 + 1 is 256 in bfloat16: summed there, the mean of 256 and three ones would be 64.
    states = torch.tensor([[256.0], [1.0], [1.0], [1.0]], dtype=torch.bfloat16)
    found, _ = compress_documents(states, [PieceSpan(before=0, document=4)], ratio=4)
    assert found.dtype == torch.bfloat16
    assert found.item() == torch.tensor(259 / 4).to(torch.bfloat16).item()


@given(
    sizes=st.lists(st.tuples(st.integers(1, 9), st.integers(0, 30), st.integers(0, 5)), min_size=1, max_size=5),
    ratio=st.sampled_from([1, 2, 4, 8]),
)
def test_a_text_in_a_row_is_compressed_as_it_is_alone(sizes: list[tuple[int, int, int]], ratio: int) -> None:
    spans = [PieceSpan(before=query, document=document, after=prompt) for query, document, prompt in sizes]
    states = torch.randn(sum(map(sum, sizes)), 3, generator=torch.Generator().manual_seed(len(sizes)))
    found, kept = compress_documents(states, spans, ratio=ratio)
    expected = []
    for (query, document, _), text in zip(sizes, states.split([sum(size) for size in sizes]), strict=True):
        groups = text[query : query + document].split(ratio) if document else ()
        expected += [text[:query], *(group.mean(0, keepdim=True) for group in groups), text[query + document :]]
    assert torch.allclose(found, torch.cat(expected), atol=1e-6)
    assert [span.total for span in kept] == [
        query + -(-document // ratio) + prompt for query, document, prompt in sizes
    ]
    if ratio == 1:
        assert kept == spans


def test_rests_of_inputs_with_a_common_beginning() -> None:
    inputs = [one_input(4, 5, 2), one_input(4, 1, 2), one_input(3, 2, 1)]
    groups = [PrefixGroup((0, 1), 3), PrefixGroup((2,))]
    spans = piece_spans(inputs, RowLayout.of([one.ids for one in inputs], groups))
    assert spans == [
        PieceSpan(before=3),
        PieceSpan(start=3, before=1, document=5, after=2, prefix=0),
        PieceSpan(start=3, before=1, document=1, after=2, prefix=0),
        PieceSpan(before=3, document=2, after=1),
    ]
    _, kept = compress_documents(torch.zeros(sum(span.total for span in spans), 2), spans, ratio=4)
    assert texts_of(kept, CPU).lengths == [3, 5, 4, 5]
    assert texts_of(kept, CPU).prefixes == [None, 0, 0, None]
    assert positions_of(kept, CPU).tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 3, 4, 5, 6, 0, 1, 2, 3, 4]


def test_an_input_without_parts_is_never_compressed() -> None:
    one = TokenInput(np.arange(4, dtype=np.int32), np.zeros(4, dtype=np.int32))
    assert piece_spans([one], RowLayout.of([one.ids], [PrefixGroup((0,))])) == [PieceSpan(before=4)]
