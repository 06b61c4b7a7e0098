"""``rank`` takes the options of the library, with the library's results and refusals."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rerank_plugins import Reranker
from rerank_plugins.calibration import fit_calibration
from rerank_plugins.cli import app
from rerank_plugins.errors import InvalidInputError

TEXTS = ["The giant panda eats bamboo. " * 30, "Paris is the capital of France.", "Net revenue grew."]


def run(tmp_path: Path, model: Path, *options: str) -> list[dict[str, float]]:
    path = tmp_path / "documents.txt"
    path.write_text("\n".join(TEXTS) + "\n", encoding="utf-8")
    arguments = ["rank", str(path), "--query", "panda", "--model", str(model), "--device", "cpu", "--json", *options]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    rows: list[dict[str, float]] = json.loads(result.stdout)
    return rows


@pytest.mark.parametrize("unit", ["probability", "raw"])
def test_the_threshold_is_of_the_unit(tmp_path: Path, bert_reranker_folder: Path, unit: str) -> None:
    field = "score" if unit == "raw" else "probability"
    first, second, third = (row[field] for row in run(tmp_path, bert_reranker_folder))
    assert first > second > third
    options = ["--threshold", str((second + third) / 2), "--threshold-unit", unit]
    assert [row[field] for row in run(tmp_path, bert_reranker_folder, *options)] == pytest.approx([first, second])


@pytest.mark.parametrize(
    ("options", "arguments"),
    [
        (["--max-length", "16"], {"max_length": 16}),
        (["--max-length", "16", "--long-documents", "maxp"], {"max_length": 16, "long_documents": "maxp"}),
        (["--dtype", "bfloat16"], {"dtype": "bfloat16"}),
    ],
)
def test_options_of_the_model(
    tmp_path: Path, bert_reranker_folder: Path, options: list[str], arguments: dict[str, object]
) -> None:
    found = {row["index"]: row["score"] for row in run(tmp_path, bert_reranker_folder, *options)}
    plain = {row["index"]: row["score"] for row in run(tmp_path, bert_reranker_folder)}
    with Reranker(bert_reranker_folder, device="cpu", **arguments) as reranker:
        expected = {one.index: one.score for one in reranker.rank("panda", TEXTS)}
    assert found == pytest.approx(expected, abs=1e-5)
    assert found != pytest.approx(plain, abs=1e-5)


def test_a_calibration(tmp_path: Path, bert_reranker_folder: Path) -> None:
    made = fit_calibration([-1.0, 0.0, 1.0, 2.0], [False, True, False, True])
    made.save(tmp_path / "calibration.json")
    rows = run(tmp_path, bert_reranker_folder, "--calibration", str(tmp_path / "calibration.json"))
    with Reranker(bert_reranker_folder, device="cpu", calibration=tmp_path / "calibration.json") as reranker:
        assert [row["probability"] for row in rows] == pytest.approx([reranker.probability(r["score"]) for r in rows])
    plain = run(tmp_path, bert_reranker_folder)
    assert [row["probability"] for row in plain] != pytest.approx([row["probability"] for row in rows])


@pytest.mark.parametrize(
    "options",
    [
        ["--threshold", "0.5", "--threshold-unit", "percent"],
        ["--threshold", "1.5"],
        ["--max-length", "0"],
        ["--long-documents", "longest"],
        ["--dtype", "int3"],
        ["--calibration", "is-not-there.json"],
    ],
)
def test_what_cannot_work_is_refused(tmp_path: Path, bert_reranker_folder: Path, options: list[str]) -> None:
    with pytest.raises(InvalidInputError, match=options[-1].replace(".", r"\.")):
        run(tmp_path, bert_reranker_folder, *options)
