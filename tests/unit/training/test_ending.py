"""What stands at the end of a training: sets that must not get worse, the page, the calibration."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rerank_plugins import Reranker
from rerank_plugins.calibration import Calibration, fit_calibration
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.training import TrainingResult, train_reranker
from tests.training_rows import rows, tiny_run, write_rows

pytest.importorskip("accelerate")
pytest.importorskip("ir_measures")


@pytest.fixture
def result(bert_reranker_folder: Path, tmp_path: Path) -> TrainingResult:
    kept = write_rows(tmp_path / "kept.jsonl", rows(30, seed=5))
    found = train_reranker(tiny_run(bert_reranker_folder, tmp_path, keep_data=[kept], keep_queries=12, max_steps=30))
    assert found is not None
    return found


def test_sets_to_stay_good_at_are_measured_before_and_after(
    result: TrainingResult, bert_reranker_folder: Path, tmp_path: Path
) -> None:
    (kept,) = result.kept
    assert (kept.name, kept.n_queries) == ("kept", 12)
    ndcg = kept.changes[0]
    chosen = {one.query for one in result.worse if one.set_name == "kept"}
    assert len(chosen) <= ndcg.worse + ndcg.better
    # By hand: the mean of the reciprocal rank of the best answer, over the queries that were drawn.
    by_query = {row["query"]: row for row in map(json.loads, (tmp_path / "kept.jsonl").read_text().splitlines())}
    asked = [json.loads(line)["query"] for line in (tmp_path / "kept.jsonl").read_text().splitlines()]
    for folder, mrr in ((bert_reranker_folder, kept.changes[1].before), (result.folder, kept.changes[1].after)):
        with Reranker(folder, device="cpu", dtype="float32") as reranker:
            values = {
                query: max(
                    1 / one.rank
                    for one in reranker.rank(query, [*dict.fromkeys(by_query[query]["pos"]), *by_query[query]["neg"]])
                    if one.document in by_query[query]["pos"]
                )
                for query in asked
            }
        possible = sorted(values.values())
        assert sum(possible[:12]) / 12 - 1e-9 <= mrr <= sum(possible[-12:]) / 12 + 1e-9


def test_the_page_names_what_got_worse_and_the_card_quotes_nothing(result: TrainingResult) -> None:
    page, card = ((result.folder / name).read_text() for name in ("report.md", "README.md"))
    assert result.worse == tuple(sorted(result.worse, key=lambda one: one.after - one.before))
    assert all(one.after < one.before for one in result.worse)
    for one in result.worse:
        assert one.query in page
        assert one.query not in card
    assert "queries of `kept`, by which no checkpoint was chosen" in page
    assert "queries of `kept`, by which no checkpoint was chosen" in card


def test_probabilities_are_fitted_to_the_trained_model(result: TrainingResult) -> None:
    assert result.calibration == result.folder / "calibration.json"
    fitted = Calibration.load(result.calibration)
    with Reranker(result.folder, device="cpu", dtype="float32", calibration=result.calibration) as reranker:
        (best, *_) = reranker.rank("what is salt", ["salt is Berlin", "form is fee"])
        assert best.probability == pytest.approx(fitted.probability(best.score))


def test_a_calibration_of_the_model_before_is_refused(result: TrainingResult, bert_reranker_folder: Path) -> None:
    with Reranker(bert_reranker_folder, device="cpu") as reranker:
        old = fit_calibration([1.0, 2.0, 0.0, 3.0] * 5, [0, 1, 0, 1] * 5, source=reranker.score_source)
    with pytest.raises(InvalidInputError, match="calibrate again"):
        Reranker(result.folder, device="cpu", calibration=old)


def test_a_second_training_of_the_same_model_has_another_identity(bert_reranker_folder: Path, tmp_path: Path) -> None:
    revisions = []
    for number in range(2):
        folder = tmp_path / str(number)
        folder.mkdir()
        found = train_reranker(tiny_run(bert_reranker_folder, folder, seed=number, max_steps=2))
        assert found is not None
        with Reranker(found.folder, device="cpu") as reranker:
            revisions.append(reranker.spec.revision)
    assert revisions[0] != revisions[1]
    assert all(str(one).startswith("trained-") for one in revisions)
