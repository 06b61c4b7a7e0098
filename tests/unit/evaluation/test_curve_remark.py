from __future__ import annotations

import pytest

from rerank_plugins.evaluation.results import Curve, CurvePoint, Estimate


@pytest.mark.parametrize(
    ("xs", "has_remark"), [([40, 40, 40], True), ([40], True), ([20, 40], False), ([20, 20, 40], True)]
)
def test_a_curve_without_different_points_says_why(xs: list[int], has_remark: bool) -> None:
    points = tuple(CurvePoint(x, Estimate(0.5)) for x in xs)
    curve = Curve(kind="growth", dataset="d", measure="MAP", lines={"bm25": points})
    assert bool(curve.remark) is has_remark
