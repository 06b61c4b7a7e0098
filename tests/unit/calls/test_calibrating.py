"""A reranker with a calibration: its probabilities, its thresholds, and what it refuses."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
from llm_checkpoints import llm_checkpoint

from rerank_plugins import LayerOptions, Reranker
from rerank_plugins.calibration import Calibration, CalibrationMismatchWarning, ScoreSource, fit_calibration
from rerank_plugins.errors import InvalidInputError

QUERY = "when was the library opened?"
DOCUMENTS = ["The library opened in 1895.", "Fish live in water.", None, "It opened", "a b c d e f"]


def calibration_of(reranker: Reranker, *, method: str = "platt") -> Calibration:
    scores = reranker.score([(QUERY, document) for document in DOCUMENTS])
    # Two of the four scored documents, the better ones, are relevant.
    better = sorted(scores, reverse=True)[:2]
    return fit_calibration(scores, [score in better for score in scores], method=method, source=reranker.score_source)


@pytest.mark.parametrize("method", ["platt", "isotonic"])
def test_probabilities_and_thresholds_are_the_calibrations(bert_reranker_folder: Path, method: str) -> None:
    plain = Reranker(bert_reranker_folder)
    made = calibration_of(plain, method=method)
    reranker = Reranker(bert_reranker_folder, calibration=made)
    ranked = reranker.rank(QUERY, DOCUMENTS)
    assert [one.index for one in ranked] == [one.index for one in plain.rank(QUERY, DOCUMENTS)]
    assert [one.probability for one in ranked[:-1]] == [made.probability(one.score) for one in ranked[:-1]]
    assert ranked[-1].document is None
    assert ranked[-1].probability == 0.0
    assert reranker.probability(ranked[0].score) == ranked[0].probability
    cut = (ranked[1].probability + ranked[2].probability) / 2
    assert reranker.rank(QUERY, DOCUMENTS, threshold=cut) == ranked[:2]


async def test_a_file_does_the_same_in_both_twins(bert_reranker_folder: Path, tmp_path: Path) -> None:
    made = calibration_of(Reranker(bert_reranker_folder))
    path = made.save(tmp_path / "calibration.json")
    reranker = Reranker(bert_reranker_folder, calibration=str(path))
    assert reranker.calibration == made
    assert await reranker.arank(QUERY, DOCUMENTS) == reranker.rank(QUERY, DOCUMENTS)


def test_the_same_settings_in_another_process_do_not_warn(bert_reranker_folder: Path, tmp_path: Path) -> None:
    path = calibration_of(Reranker(bert_reranker_folder, max_length=64)).save(tmp_path / "calibration.json")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Reranker(bert_reranker_folder, max_length=64, calibration=path)


def test_another_model_is_refused_and_another_length_warned_about(checkpoints: Path) -> None:
    made = calibration_of(Reranker(checkpoints / "bert-reranker"))
    with pytest.raises(InvalidInputError, match="model='bert-reranker' and is used with model='xlmr-reranker'"):
        Reranker(checkpoints / "xlmr-reranker", calibration=made)
    with pytest.warns(CalibrationMismatchWarning, match="max_length"):
        Reranker(checkpoints / "bert-reranker", max_length=32, calibration=made)


def test_what_is_no_calibration_is_refused_before_the_model_loads(tmp_path: Path) -> None:
    pytest.importorskip("rerank_plugins_mini")
    with pytest.raises(InvalidInputError, match="got dict"):
        Reranker("mini", calibration={"method": "platt"})  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="could not be read"):
        Reranker("mini", calibration=tmp_path / "none.json")


def test_another_layer_than_the_calibrated_one_is_refused() -> None:
    folder = llm_checkpoint("tiny-minicpm-layerwise")
    made = calibration_of(Reranker(folder))
    reranker = Reranker(folder, calibration=made)
    used = reranker.layers
    assert used is not None
    other = LayerOptions(cutoff_layers=(2,) if used.cutoff_layers != (2,) else (3,))
    assert reranker.rank(QUERY, DOCUMENTS, layers=used)
    with pytest.raises(InvalidInputError, match="is calibrated for"):
        reranker.rank(QUERY, DOCUMENTS, layers=other)
    with pytest.raises(InvalidInputError, match="layers"):
        Reranker(folder, calibration=made, layers=other)


def test_the_source_names_a_folder_by_its_own_name(bert_reranker_folder: Path) -> None:
    source = Reranker(bert_reranker_folder).score_source
    assert isinstance(source, ScoreSource)
    assert source.model == "bert-reranker"
    assert set(source.settings) == {
        "prompt", "peft_path", "layers", "max_length", "query_max_length", "truncation", "long_documents",
    }  # fmt: skip
