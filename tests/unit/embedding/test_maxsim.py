"""MaxSim by one product is the definition, whatever lies beside a document."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rerank_plugins.embedding.kept.shards import rounded_rows
from rerank_plugins.embedding.maxsim import NO_VECTORS, best_matches, joined_vectors, maxsim

pytest.importorskip("torch")


from rerank_plugins.embedding.int8_products import products_with


def rows(rng: np.random.Generator, n: int, width: int = 8) -> np.ndarray:
    made = rng.standard_normal((n, width)).astype(np.float32)
    return made / np.maximum(np.linalg.norm(made, axis=1, keepdims=True), 1e-6)


@given(seed=st.integers(0, 2**32 - 1), lengths=st.lists(st.integers(0, 9), min_size=1, max_size=12))
@settings(max_examples=50)
def test_by_definition(seed: int, lengths: list[int]) -> None:
    rng = np.random.default_rng(seed)
    query, documents = rows(rng, 5), [rows(rng, n) for n in lengths]
    expected = [sum(max((float(q @ d) for d in one), default=NO_VECTORS) for q in query) for one in documents]
    joined, counts = joined_vectors(documents, width=8)
    assert maxsim(query, joined, counts, is_mean=False) == pytest.approx(expected, abs=1e-5)
    assert maxsim(query, joined, counts, is_mean=True) == pytest.approx(np.array(expected) / 5, abs=1e-5)
    by_torch = maxsim(query, joined, counts, is_mean=False, products_with=products_with)
    assert by_torch == pytest.approx(expected, abs=1e-5)


def test_no_documents_and_a_query_without_vectors() -> None:
    query = rows(np.random.default_rng(0), 3)
    assert maxsim(query, *joined_vectors([], width=8), is_mean=False).shape == (0,)
    assert maxsim(query[:0], *joined_vectors([query], width=8), is_mean=True).tolist() == [0.0]


def test_the_first_of_equal_matches_answers() -> None:
    query = np.eye(3, dtype=np.float32)
    places, best = best_matches(query, np.array([[0, 1, 0], [1, 0, 0], [1, 0, 0], [0, 0, 0.5]], dtype=np.float32))
    assert places.tolist() == [1, 0, 3]
    assert best.tolist() == [1.0, 1.0, 0.5]


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=20)
def test_int8_is_near(seed: int) -> None:
    from rerank_plugins.embedding.int8_products import Int8Query

    rng = np.random.default_rng(seed)
    query, documents = rows(rng, 32, 128), [rows(rng, int(n), 128) for n in rng.integers(0, 40, 20)]
    joined, lengths = joined_vectors(documents, width=128)
    found = Int8Query(*rounded_rows(query)).maxsim(*rounded_rows(joined), lengths, lowest=NO_VECTORS)
    assert found == pytest.approx(maxsim(query, joined, lengths, is_mean=False), abs=0.1)


def test_rows_of_zeros_have_a_scale_of_zero() -> None:
    rounded, scales = rounded_rows(np.zeros((2, 4), dtype=np.float32))
    assert not rounded.any()
    assert not scales.any()
