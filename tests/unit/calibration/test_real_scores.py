"""On real scores of bge-reranker-v2-m3: what is fitted on half of the queries holds on the other half.

The files are not part of the project; RERANK_PLUGINS_DATA is the folder that holds the unpacked sets.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rerank_plugins.calibration import (
    fit_calibration,
    fit_threshold,
    labelled_scores,
    logits,
    measure_reliability,
    measure_threshold,
)
from rerank_plugins.evaluation import read_qrels, read_trec_run

DATA = os.environ.get("RERANK_PLUGINS_DATA", "")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DATA, reason="RERANK_PLUGINS_DATA is not set to the unpacked sets"),
]

Pairs = tuple[list[float], list[bool]]


@pytest.fixture(scope="module")
def halves() -> tuple[Pairs, Pairs]:
    folder = Path(DATA) / "_jqara_runs"
    run = read_trec_run(folder / "bge-reranker-v2-m3.run.gz")
    qrels = read_qrels(folder / "qrels.trec")
    names = sorted(run)
    first, second = ({name: run[name] for name in part} for part in (names[::2], names[1::2]))
    return labelled_scores(first, qrels), labelled_scores(second, qrels)


@pytest.mark.parametrize("swapped", [False, True])
def test_a_threshold_for_precision_holds(halves: tuple[Pairs, Pairs], swapped: bool) -> None:
    fit, held = reversed(halves) if swapped else halves
    fitted = fit_threshold(*fit, precision=0.9)
    assert fitted.n_kept > 500
    assert measure_threshold(*held, threshold=fitted.value).precision >= 0.85


@pytest.mark.parametrize("method", ["platt", "isotonic"])
def test_calibration_holds(halves: tuple[Pairs, Pairs], method: str) -> None:
    (scores, labels), (held_scores, held_labels) = halves
    # The run was saved after a sigmoid, which is the model's own probability.
    before = measure_reliability(held_scores, held_labels)
    calibration = fit_calibration(logits(scores), labels, method=method)
    after = measure_reliability([calibration.probability(score) for score in logits(held_scores)], held_labels)
    assert after.expected_calibration_error < 0.01 < before.expected_calibration_error
    assert after.brier_score < before.brier_score
