from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import tiny_dataset

from rerank_plugins.errors import InvalidInputError
from rerank_plugins.evaluation.grid.curves import growth_sizes, subset_of_corpus


def test_sizes_double_up_to_all() -> None:
    assert growth_sizes(6752) == [500, 1000, 2000, 4000, 6752]
    assert growth_sizes(500) == [500]
    assert growth_sizes(3, least=1) == [1, 2, 3]
    with pytest.raises(InvalidInputError, match="least"):
        growth_sizes(3, least=0)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 5))
def test_parts_are_nested_and_keep_what_is_relevant(one: int, other: int, seed: int) -> None:
    whole = tiny_dataset()
    small, large = (subset_of_corpus(whole, n_documents=n, seed=seed) for n in sorted((one, other)))
    relevant = {key for query_id in whole.queries for key in whole.relevant_ids(query_id)}
    assert relevant <= set(small.documents) <= set(large.documents)
    assert len(large.documents) == max(len(relevant), one, other)
    assert list(large.documents) == [key for key in whole.documents if key in large.documents]
    assert all(key in small.documents for listed in small.candidates.values() for key in listed)


def test_the_whole_corpus_is_the_dataset() -> None:
    assert subset_of_corpus(tiny_dataset(), n_documents=40, seed=1) == tiny_dataset()
