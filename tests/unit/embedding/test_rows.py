"""No vector is zero or not finite, whatever the text and the options."""

from __future__ import annotations

from pathlib import Path

import embedder_checkpoints
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from rerank_plugins import Embedder, QueryVectorCache, SourceOptions, VectorOptions
from rerank_plugins.embedding.rows import finished_rows, neutral_vector

NOTHING = ["", " ", "\n\t\r", "\u200b\u200d\ufeff", "😀🎉", "\x00\x01\x1f", "\ud800", "\u00ad", "\u3000", "\U000e0041"]
"""Blank, zero-width, emoji, control characters, a lone surrogate, a soft hyphen, a wide space, a tag."""


@settings(derandomize=True, deadline=None)
@given(
    arrays.arrays(
        np.float32,
        st.tuples(st.integers(1, 4), st.integers(1, 9)),
        elements=st.one_of(st.just(0.0), st.floats(-(2.0**100), 2.0**100, width=32)),
    ),
    st.booleans(),
    st.one_of(st.none(), st.integers(1, 9)),
)
def test_any_finite_row_becomes_one_with_a_length(rows: np.ndarray, normalize: bool, dimensions: int | None) -> None:
    kept = rows.shape[1] if dimensions is None else min(dimensions, rows.shape[1])
    found = finished_rows(rows, normalize=normalize, dimensions=dimensions)
    lengths = np.linalg.norm(found.astype(np.float64), axis=1)
    assert found.shape == (len(rows), kept)
    assert found.dtype == np.float32
    assert np.isfinite(found).all()
    assert (lengths > 0).all()
    if normalize:
        assert lengths == pytest.approx(1, abs=1e-5)
    own = np.linalg.norm(rows[:, :kept].astype(np.float64), axis=1) > 1e-12
    if not normalize:
        assert (found[own] == rows[:, :kept][own]).all()


def test_the_callers_rows_stay_as_they_are() -> None:
    rows = np.zeros((1, 2), dtype=np.float32)
    finished_rows(rows, normalize=False)
    assert not rows.any()


def test_a_text_without_content_is_near_no_other() -> None:
    generator = np.random.default_rng(0)
    others = finished_rows(generator.normal(0.3, 1, (1000, 256)).astype(np.float32), normalize=True)
    assert abs(float((others @ neutral_vector(256)).mean())) < 0.01


@pytest.mark.parametrize("normalize", [None, True, False])
@pytest.mark.parametrize("dimensions", [None, 1, 7])
def test_mini_has_a_vector_for_every_text(normalize: bool | None, dimensions: int | None) -> None:
    with Embedder(
        "mini", vectors=VectorOptions(normalize=normalize, dimensions=dimensions), cache=QueryVectorCache(2)
    ) as embedder:
        for vectors in (embedder.embed_queries(NOTHING), embedder.embed_documents(NOTHING)):
            assert np.isfinite(vectors).all()
            assert (np.linalg.norm(vectors, axis=1) > 0.5).all()
        [alone] = embedder.embed_documents([""])
        assert alone == pytest.approx(neutral_vector(len(alone)))


@pytest.mark.parametrize("normalize", [True, False])
def test_all_dense_vectors_of_a_model_with_several_outputs_have_a_length(tmp_path: Path, normalize: bool) -> None:
    folder = embedder_checkpoints.bge_m3(tmp_path / "bge-m3", pickled=False)
    with Embedder(folder, source=SourceOptions(family="bge"), vectors=VectorOptions(normalize=normalize)) as embedder:
        found = embedder.encode_documents(NOTHING)
    assert found.dense is not None
    assert found.colbert is not None
    for vectors in (found.dense, *found.colbert):
        assert np.isfinite(vectors).all()
        assert (np.linalg.norm(vectors, axis=1) > 0).all()
