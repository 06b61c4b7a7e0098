"""Rough scores of kept vectors: the sum that the formula says, whatever number of threads torch has."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rerank_plugins.embedding.int8_products import Int8Query


@pytest.fixture(params=[1, 2, 3])
def torch_threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lengths=st.lists(st.one_of(st.just(0), st.integers(1, 90)), max_size=70),
    n_query=st.integers(1, 5),
    seed=st.integers(0, 1000),
)
def test_a_score_is_the_sum_of_the_best_scaled_products(
    torch_threads: int, lengths: list[int], n_query: int, seed: int
) -> None:
    draws = np.random.default_rng(seed)
    query = draws.integers(-127, 128, (n_query, 16), dtype=np.int8)
    rows = draws.integers(-127, 128, (sum(lengths), 16), dtype=np.int8)
    query_scales, scales = (draws.random(n, dtype=np.float32) + 0.1 for n in (n_query, len(rows)))
    found = Int8Query(query, query_scales).maxsim(rows, scales, np.array(lengths, dtype=np.int64), lowest=-2.0)
    assert found.shape == (len(lengths),)
    products = (rows.astype(np.float64) @ query.astype(np.float64).T) * scales[:, None]
    end = 0
    for place, length in enumerate(lengths):
        start, end = end, end + length
        best = products[start:end].max(axis=0) * query_scales if length else np.full(n_query, -2.0)
        assert found[place] == pytest.approx(float(best.sum()), rel=1e-5, abs=1e-2)
