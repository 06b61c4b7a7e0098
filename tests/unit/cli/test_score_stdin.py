from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rerank_plugins import Reranker
from rerank_plugins.calibration import fit_calibration
from rerank_plugins.cli import app
from rerank_plugins.errors import InvalidInputError

PAIRS = [("panda", "a panda eats"), ("panda", None), ("capital", "Paris is the capital")]
LINES = "".join(json.dumps({"query": query, "document": document}) + "\n\n" for query, document in PAIRS)


def rows(text: str) -> list[dict[str, float]]:
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def test_standard_input_to_standard_output_with_a_calibration(bert_reranker_folder: Path, tmp_path: Path) -> None:
    made = fit_calibration([-1.0, 0.0, 1.0, 2.0], [False, True, False, True])
    path = made.save(tmp_path / "c.json")
    with Reranker(bert_reranker_folder) as reranker:
        expected = reranker.score(PAIRS)
    options = ["score", "-", "--model", str(bert_reranker_folder)]
    result = CliRunner().invoke(app, [*options, "--calibration", str(path)], input=LINES)
    assert [row["score"] for row in rows(result.stdout)] == pytest.approx(expected, abs=1e-5)
    assert [row["probability"] for row in rows(result.stdout)] == [
        pytest.approx(made.probability(score), abs=1e-6) for score in expected
    ]


@pytest.mark.parametrize("broken", ["no json", "[1]", '{"query": 1, "document": "x"}', '{"query": "x"}'])
def test_what_stands_before_a_broken_line_is_scored(broken: str, bert_reranker_folder: Path) -> None:
    options = ["score", "-", "--model", str(bert_reranker_folder)]
    result = CliRunner().invoke(app, options, input=f"{LINES}{broken}\n")
    assert len(rows(result.stdout)) == len(PAIRS)
    assert isinstance(result.exception, InvalidInputError)
    assert "stdin, line 7" in str(result.exception)
