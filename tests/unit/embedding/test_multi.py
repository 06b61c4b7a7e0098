"""Vectors of three kinds, put together from rows, and the scores between them, by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rerank_plugins.embedding.multi import VectorAssembly, check_outputs, check_weights, grouped, score_pairs
from rerank_plugins.embedding.vectors import PairScores, TextVectors, colbert_score, dense_score, lexical_score
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.nn.packed_row import PackedRow
from rerank_plugins.protocols import TokenInput
from rerank_plugins.scorers.multi_vector import in_slots
from rerank_plugins.scorers.vector_rows import MultiVectorRow


def of_ids(*ids: int) -> TokenInput:
    array = np.array(ids, dtype=np.int32)
    return TokenInput(array, np.zeros_like(array))


ONE = of_ids(0, 7, 8, 7, 2)
"""<s> 7 8 7 </s>"""


def build(*, normalize: bool, outputs: tuple[str, ...] = ("dense", "sparse", "colbert"), kept: int = 2) -> TextVectors:
    (group,) = grouped([ONE], outputs)
    slots = group.layout.slots
    weights = np.zeros(slots, dtype=np.float32)
    weights[:5] = [9.0, 0.5, 0.0, 0.75, 9.0]
    tokens = np.zeros((slots, 2), dtype=np.float32)
    tokens[:5] = [[1, 1], [3, 4], [0, 2], [-1, 0], [0, -5]]
    parts = [np.array([6.0, 8.0], dtype=np.float32)]
    parts += [weights] if "sparse" in outputs else []
    parts += [tokens.ravel()] if "colbert" in outputs else []
    assembly = VectorAssembly(
        dimensions=2, kept_dimensions=kept, normalize=normalize, skipped_ids=frozenset({0, 1, 2, 3})
    )
    return assembly.build([ONE], [group], [np.concatenate(parts)[None]], outputs)


def test_a_token_weighs_its_highest_and_special_ones_nothing() -> None:
    found = build(normalize=True)
    assert found.sparse == ({7: 0.75},)
    assert found.dense is not None
    assert found.dense.tolist() == [pytest.approx([0.6, 0.8])]
    assert found.colbert is not None
    assert found.colbert[0].tolist() == [pytest.approx(row) for row in ([0.6, 0.8], [0, 1], [-1, 0], [0, -1])]


def test_without_scaling_and_with_fewer_dimensions() -> None:
    found = build(normalize=False, kept=1)
    assert found.dense is not None
    assert found.dense.tolist() == [[6.0]]
    assert found.colbert is not None
    assert found.colbert[0].tolist() == [[3, 4], [0, 2], [-1, 0], [0, -5]]


@pytest.mark.parametrize("outputs", [("dense",), ("sparse",), ("colbert",), ("sparse", "dense")])
def test_only_what_is_asked_for(outputs: tuple[str, ...]) -> None:
    found = build(normalize=True, outputs=outputs)
    there = {name for name in ("dense", "sparse", "colbert") if getattr(found, name) is not None}
    assert there == set(outputs)


@given(st.lists(st.integers(1, 700), min_size=1, max_size=20))
def test_groups_hold_every_input_once_with_little_empty(lengths: list[int]) -> None:
    inputs = [of_ids(*range(length)) for length in lengths]
    groups = grouped(inputs, ("colbert",))
    assert sorted(index for group in groups for index in group.indices) == list(range(len(lengths)))
    for group in groups:
        for index in group.indices:
            assert group.layout.slots >= lengths[index]
            assert group.layout.slots <= max(16, 2 * lengths[index] - 1)


def test_one_group_where_rows_hold_no_tokens() -> None:
    groups = grouped([of_ids(1), of_ids(*range(300))], ("dense",))
    assert [group.indices for group in groups] == [[0, 1]]


def test_tokens_lie_in_their_slots() -> None:
    placed = in_slots(
        torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]), PackedRow([2, 1], torch.device("cpu")), slots=3
    )
    assert placed.tolist() == [[1, 2, 3, 4, 0, 0], [5, 6, 0, 0, 0, 0]]
    layout = MultiVectorRow(slots=3, sparse=False, colbert=True)
    row = np.concatenate([[7.0], placed[0].numpy()]).astype(np.float32)
    vector, weights, tokens = layout.split(row, dimensions=1, n_tokens=2)
    assert (vector.tolist(), weights.tolist(), tokens.tolist()) == ([7.0], [], [[1, 2], [3, 4]])


def test_scores_by_hand() -> None:
    assert dense_score(np.array([1, 2], np.float32), np.array([3, 4], np.float32)) == 11.0
    assert lexical_score({1: 0.5, 2: 2.0, 3: 9.0}, {2: 0.25, 1: 4.0}) == 2.5
    query = np.array([[1, 0], [0, 1]], np.float32)
    document = np.array([[0.5, 0.25], [-1, -2], [0.25, 0.0]], np.float32)
    assert colbert_score(query, document) == pytest.approx((0.5 + 0.25) / 2)
    assert colbert_score(query[:0], document) == 0.0
    assert lexical_score({}, {1: 1.0}) == 0.0


def test_weighted_means_by_hand() -> None:
    found = PairScores.weighted(dense=0.8, sparse=0.2, colbert=0.5, weights=(1.0, 3.0, 4.0))
    assert found.sparse_dense == pytest.approx((0.8 + 0.6) / 4)
    assert found.combined == pytest.approx((0.8 + 0.6 + 2.0) / 8)


def test_scores_need_all_kinds() -> None:
    with pytest.raises(InvalidInputError, match="all three kinds"):
        score_pairs(build(normalize=True), build(normalize=True, outputs=("dense",)), (1.0, 1.0, 1.0))


@pytest.mark.parametrize("bad", [(), "dense", ["dense", "lexical"], [None]])
def test_outputs_that_do_not_exist(bad: object) -> None:
    with pytest.raises(InvalidInputError, match="'dense', 'sparse', 'colbert'; got"):
        check_outputs(bad)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "bad", [(1, 1), (1, 1, 1, 1), (0, 0, 1), (-1, 2, 1), ("1", 1, 1), (float("nan"), 1, 1), (float("inf"), 1, 1)]
)
def test_weights_that_make_no_mean(bad: tuple[float, ...]) -> None:
    with pytest.raises(InvalidInputError, match="weights must be three numbers"):
        check_weights(bad)
