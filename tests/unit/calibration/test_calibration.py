"""Calibrations: against scikit-learn, by hand, and the file that holds one."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rerank_plugins.calibration import (
    Calibration,
    CalibrationMismatchWarning,
    ScoreSource,
    fit_calibration,
    fit_threshold,
    measure_reliability,
    measure_threshold,
)
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.types import BLANK_DOCUMENT_SCORE


def made_pairs(*, n: int = 400, seed: int = 0) -> tuple[list[float], list[int]]:
    """Scores whose true probability of relevance is sigmoid(0.6 * score - 1)."""
    random = np.random.default_rng(seed)
    scores = random.normal(0.0, 4.0, n)
    labels = random.random(n) < 1.0 / (1.0 + np.exp(1.0 - 0.6 * scores))
    return scores.tolist(), labels.astype(int).tolist()


def test_platt_minimises_the_cross_entropy_with_platts_targets() -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    scores, labels = made_pairs()
    slope, intercept = fit_calibration(scores, labels).parameters[0]
    # Platt's targets as weighted examples of both classes, no penalty: the same minimum by other code.
    n_relevant = sum(labels)
    n_others = len(labels) - n_relevant
    high, low = (n_relevant + 1) / (n_relevant + 2), 1 / (n_others + 2)
    targets = np.where(np.array(labels) == 1, high, low)
    twice = np.array(scores * 2).reshape(-1, 1)
    classes = np.repeat([1, 0], len(scores))
    model = linear_model.LogisticRegression(C=1e12, tol=1e-12, max_iter=10_000)
    model.fit(twice, classes, sample_weight=np.concatenate([targets, 1 - targets]))
    assert slope == pytest.approx(model.coef_[0, 0], rel=1e-4)
    assert intercept == pytest.approx(model.intercept_[0], rel=1e-4)


def test_platt_finds_the_sigmoid_that_made_the_labels() -> None:
    scores, labels = made_pairs(n=20_000)
    slope, intercept = fit_calibration(scores, labels).parameters[0]
    assert slope == pytest.approx(0.6, abs=0.03)
    assert intercept == pytest.approx(-1.0, abs=0.06)


@pytest.mark.parametrize("scale", [1e-6, 0.1, 100.0])
def test_platt_does_not_depend_on_the_scale_of_scores(scale: float) -> None:
    scores, labels = made_pairs()
    scaled = fit_calibration([score * scale for score in scores], labels)
    for score in (-6.0, 0.0, 2.0):
        assert scaled.probability(score * scale) == pytest.approx(
            fit_calibration(scores, labels).probability(score), abs=1e-9
        )


def test_separable_pairs_give_a_finite_slope() -> None:
    calibration = fit_calibration([3.0, 2.0, -2.0, -3.0], [1, 1, 0, 0])
    # Platt's targets for two and two: 3/4 and 1/4.
    assert calibration.probability(2.5) == pytest.approx(0.75, abs=0.02)


def test_isotonic_equals_scikit_learn() -> None:
    isotonic = pytest.importorskip("sklearn.isotonic")
    scores, labels = made_pairs(n=300)
    scores = [round(score, 1) for score in scores]  # ties
    calibration = fit_calibration(scores, labels, method="isotonic")
    reference = isotonic.IsotonicRegression(out_of_bounds="clip").fit(scores, labels)
    asked = np.linspace(-15.0, 15.0, 701)
    ours = [calibration.probability(float(score)) for score in asked]
    assert ours == pytest.approx(reference.predict(asked).tolist(), abs=1e-6)


def test_isotonic_by_hand() -> None:
    calibration = fit_calibration([1.0, 2.0, 3.0, 4.0], [0, 1, 0, 1], method="isotonic")
    assert calibration.parameters == ((1.0, 0.0), (2.0, 0.5), (3.0, 0.5), (4.0, 1.0))
    assert [calibration.probability(score) for score in (0.0, 1.5, 2.7, 9.0)] == [0.0, 0.25, 0.5, 1.0]


@pytest.mark.parametrize("method", ["platt", "isotonic"])
@given(low=st.floats(-40, 40), high=st.floats(-40, 40))
def test_a_higher_score_never_has_a_lower_probability(method: str, low: float, high: float) -> None:
    calibration = CALIBRATIONS[method]
    low, high = sorted((low, high))
    assert 0.0 <= calibration.probability(low) <= calibration.probability(high) <= 1.0


CALIBRATIONS = {method: fit_calibration(*made_pairs(), method=method) for method in ("platt", "isotonic")}


@pytest.mark.parametrize("method", ["platt", "isotonic"])
def test_calibration_lowers_the_error_on_other_pairs(method: str) -> None:
    scores, labels = made_pairs(n=5_000, seed=1)
    sigmoid = [1.0 / (1.0 + np.exp(-score)) for score in scores]
    calibration = fit_calibration(*made_pairs(n=5_000, seed=2), method=method)
    after = measure_reliability([calibration.probability(score) for score in scores], labels)
    before = measure_reliability(sigmoid, labels)
    assert after.expected_calibration_error < 0.03 < before.expected_calibration_error
    assert after.brier_score < before.brier_score
    assert after.log_loss < before.log_loss


def test_reliability_by_hand() -> None:
    found = measure_reliability([0.1, 0.2, 0.9, 0.7], [0, 1, 1, 0], n_bins=2)
    # Bin one: predicted 0.15, observed 0.5; bin two: predicted 0.8, observed 0.5.
    assert found.expected_calibration_error == pytest.approx((2 * 0.35 + 2 * 0.3) / 4)
    assert found.brier_score == pytest.approx((0.01 + 0.64 + 0.01 + 0.49) / 4)
    assert found.log_loss == pytest.approx(-np.log([0.9, 0.2, 0.9, 0.3]).mean())
    assert [one.n_pairs for one in found.bins] == [2, 2]
    with pytest.raises(InvalidInputError, match=r"must lie in \[0, 1\]"):
        measure_reliability([0.5, 1.5], [0, 1])


def test_a_probability_of_1_is_in_the_last_bin() -> None:
    found = measure_reliability([1.0, 0.95, 0.9, 0.0], [1, 0, 1, 0], n_bins=10)
    assert [(one.low, one.high, one.n_pairs) for one in found.bins] == [(0.0, 0.1, 1), (0.9, 1.0, 3)]


def test_a_blank_document_has_probability_zero() -> None:
    assert all(one.probability(BLANK_DOCUMENT_SCORE) == 0.0 for one in CALIBRATIONS.values())


@pytest.mark.parametrize("method", ["platt", "isotonic"])
def test_scores_against_the_labels_are_refused(method: str) -> None:
    with pytest.raises(InvalidInputError, match="do not rise with relevance"):
        fit_calibration([1.0, 2.0, 3.0, 4.0], [1, 1, 0, 0], method=method)


@pytest.mark.parametrize("method", ["platt", "isotonic"])
@pytest.mark.parametrize("score", [0.0, 0.1, 2.7, -30.7])
@pytest.mark.parametrize("labels", [[1, 0, 0], [1] * 6 + [0]])
def test_scores_that_are_all_equal_are_refused(method: str, score: float, labels: list[int]) -> None:
    """Their mean is off by a rounding, which must not be taken for a difference."""
    with pytest.raises(InvalidInputError, match="do not rise with relevance"):
        fit_calibration([score] * len(labels), labels, method=method)


def test_bad_arguments() -> None:
    with pytest.raises(InvalidInputError, match="'platt' or 'isotonic'"):
        fit_calibration([1.0, 0.0], [1, 0], method="beta")
    with pytest.raises(InvalidInputError, match="both classes"):
        fit_calibration([1.0, 0.0], [1, 1])
    with pytest.raises(InvalidInputError, match="NaN"):
        CALIBRATIONS["platt"].probability(float("nan"))
    with pytest.raises(InvalidInputError, match="no parameters of a 'platt'"):
        Calibration(method="platt", parameters=((-1.0, 0.0),), n_pairs=2, n_relevant=1)
    with pytest.raises(InvalidInputError, match="no parameters of a 'isotonic'"):
        Calibration(method="isotonic", parameters=((0.0, 0.5), (1.0, 0.2)), n_pairs=2, n_relevant=1)


@pytest.mark.parametrize("method", ["platt", "isotonic"])
def test_the_file_gives_back_the_calibration(method: str, tmp_path: Path) -> None:
    scores, labels = made_pairs()
    source = ScoreSource(model="some/model", revision="abc", settings={"max_length": 512, "layers": None})
    made = fit_calibration(scores, labels, method=method, source=source)
    made = made.with_threshold(fit_threshold(scores, labels, precision=0.9))
    assert Calibration.load(made.save(tmp_path / "c.json")) == made


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": "other"}, "not a calibration file"),
        ({"version": 99}, "version 99 of the calibration format"),
        ({"parameters": "x"}, "damaged"),
        ({"parameters": [[-1.0, 0.0]]}, "damaged"),
        ({"parameters": [[10**400, 0.0]]}, "damaged"),
        ({"source": {"models": 1}}, "damaged"),
        ({"source": None}, "damaged"),
        ({"source": {"settings": "max_length"}}, "damaged"),
        ({"source": {"settings": None}}, "damaged"),
        ({"thresholds": [{"value": "high", "precision": 1, "recall": 1, "n_kept": 1, "n_pairs": 1}]}, "damaged"),
        ({"thresholds": [1]}, "damaged"),
    ],
)
def test_other_files_are_refused(change: dict, message: str, tmp_path: Path) -> None:
    path = CALIBRATIONS["platt"].save(tmp_path / "c.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(InvalidInputError, match=message):
        Calibration.load(path)


def test_unreadable_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text("{")
    (tmp_path / "deep.json").write_text("[" * 100_000)
    (tmp_path / "digits.json").write_text("9" * 5_000)
    for path in (*(tmp_path / f"{name}.json" for name in ("none", "c", "deep", "digits")), tmp_path):
        with pytest.raises(InvalidInputError, match="could not be read"):
            Calibration.load(path)


def test_a_byte_order_mark_is_no_damage(tmp_path: Path) -> None:
    path = CALIBRATIONS["platt"].save(tmp_path / "c.json")
    path.write_text(path.read_text(encoding="utf-8"), encoding="utf-8-sig")
    assert Calibration.load(path) == CALIBRATIONS["platt"]


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InvalidInputError, match="cannot be written"):
        CALIBRATIONS["platt"].save(tmp_path / "file" / "c.json")


def test_folders_on_the_way_are_made(tmp_path: Path) -> None:
    path = CALIBRATIONS["platt"].save(tmp_path / "new" / "c.json")
    assert Calibration.load(path) == CALIBRATIONS["platt"]


def test_what_is_compared_and_how(recwarn: pytest.WarningsRecorder) -> None:
    made = ScoreSource(model="a/b", revision="r1", settings={"prompt": "", "layers": None, "max_length": 512})
    made.check_against(made)
    ScoreSource().check_against(made)
    made.check_against(ScoreSource(model="a/b", settings=made.settings))
    assert not recwarn.list
    for other in (
        ScoreSource(model="a/c", revision="r1", settings=made.settings),
        ScoreSource(model="a/b", revision="r2", settings=made.settings),
        ScoreSource(model="a/b", revision="r1", settings={**made.settings, "prompt": "Is it so?"}),
        ScoreSource(model="a/b", revision="r1", settings={**made.settings, "layers": {"cutoff_layers": [8]}}),
    ):
        with pytest.raises(InvalidInputError, match="calibrate again"):
            made.check_against(other)
    with pytest.warns(CalibrationMismatchWarning, match=r"max_length=512 \(now 64\)"):
        made.check_against(ScoreSource(model="a/b", revision="r1", settings={**made.settings, "max_length": 64}))


@pytest.mark.parametrize("threshold", [math.inf, -math.inf])
def test_what_a_file_cannot_hold_is_told_and_leaves_none(threshold: float, tmp_path: Path) -> None:
    scores, labels = [0.0, 1.0, 2.0, 3.0], [0, 0, 1, 1]
    made = fit_calibration(scores, labels)
    with pytest.raises(InvalidInputError, match="thresholds must be finite"):
        made.with_threshold(measure_threshold(scores, labels, threshold=threshold)).save(tmp_path / "c.json")
    with pytest.raises(InvalidInputError, match="plain values"):
        fit_calibration(scores, labels, source=ScoreSource(settings={"x": {1}})).save(tmp_path / "c.json")
    assert not (tmp_path / "c.json").exists()
