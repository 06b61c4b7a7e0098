from __future__ import annotations

import pytest

from benchmarks.precision import kept


def test_kept_by_hand() -> None:
    exact = [{"a": 3.0, "b": 2.0, "c": 1.0}, {"d": 5.0}]
    other = [{"a": 1.0, "b": 2.0, "c": 9.0}, {"d": -1.0}]
    # Of a and b the other has b beside c; the only document of the second query is there.
    assert kept(exact, other, top_n=2) == pytest.approx((0.5 + 1.0) / 2)
    assert kept(exact, exact) == 1.0
