"""Rows of length 1: scaled once, and the same to the last bit however often they are scaled again."""

from __future__ import annotations

import numpy as np
import pytest

from rerank_plugins.retrieval.dense import unit_rows


def test_scaling_again_changes_no_bit() -> None:
    rows = np.random.default_rng(0).standard_normal((500, 33)).astype(np.float32) * 7
    once = unit_rows(rows)
    assert np.linalg.norm(once, axis=1) == pytest.approx(1.0, abs=1e-6)
    assert np.array_equal(unit_rows(once), once)


def test_rows_of_zeros_and_nearly_unit_rows() -> None:
    rows = np.array([[0.0, 0.0], [3.0, 4.0], [0.6, 0.801]], dtype=np.float32)
    found = unit_rows(rows)
    assert found[0].tolist() == [0.0, 0.0]
    assert found[1] == pytest.approx([0.6, 0.8])
    assert np.linalg.norm(found[2]) == pytest.approx(1.0, abs=1e-6)
