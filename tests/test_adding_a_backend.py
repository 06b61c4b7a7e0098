"""CONTRIBUTING.md's example of a new kind of reranker is run: by name it gets all that a checkpoint gets."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from rerank_plugins import Reranker, ScoreCache, TwoStageRetriever
from rerank_plugins.backends import named
from rerank_plugins.calibration import fit_calibration
from rerank_plugins.cli.application import app

SECTION = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8").split("## Adding a kind of")[1]
(EXAMPLE,) = re.findall(r"```python\n(.*?)```", SECTION.split("\n## ")[0], flags=re.DOTALL)
QUERY = "what do pandas eat"
DOCUMENTS = ["rivers run", "all pandas eat bamboo", "cats eat fish"]


@pytest.fixture(autouse=True)
def example(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    monkeypatch.setattr(named, "_OPENERS", {})
    names: dict[str, Any] = {}
    exec(compile(EXAMPLE, "CONTRIBUTING.md", "exec"), names)
    with names["reranker"]:
        yield names


def test_it_ranks_with_thresholds_windows_calibration_and_a_cache(example: dict[str, Any]) -> None:
    reranker, cache = example["reranker"], ScoreCache()
    assert [(one.index, one.score) for one in reranker.rank(QUERY, DOCUMENTS)] == [(1, 2.0), (2, 1.0), (0, 0.0)]
    assert [one.index for one in reranker.rank(QUERY, DOCUMENTS, threshold=1.5, threshold_unit="raw")] == [1]
    long = " ".join(["nothing"] * 200 + ["pandas eat"] + ["nothing"] * 200)
    assert reranker.rank(QUERY, [long])[0].window is not None
    scores, labels = [0.0, 1.0, 2.0, 3.0] * 5, [False, False, True, True] * 5
    calibration = fit_calibration(scores, labels, source=reranker.score_source)
    calibrated = Reranker("word-overlap:64", long_documents="maxp", calibration=calibration, cache=cache)
    assert calibrated.rank(QUERY, DOCUMENTS)[0].probability == calibration.probability(2.0)
    assert asyncio.run(calibrated.ascore([(QUERY, DOCUMENTS[1])])) == [2.0]
    assert cache.info().hits == 1


def test_it_is_the_second_stage_of_a_retriever() -> None:
    pytest.importorskip("bm25s")
    retriever = TwoStageRetriever.from_documents(DOCUMENTS, retriever="bm25", reranker="word-overlap", top_k=3, top_n=1)
    assert [one.text for one in retriever.search(QUERY)] == [DOCUMENTS[1]]


def test_commands_take_its_name(tmp_path: Path) -> None:
    file = tmp_path / "documents.txt"
    file.write_text("\n".join(DOCUMENTS), encoding="utf-8")
    done = CliRunner().invoke(app, ["rank", str(file), "--query", QUERY, "--model", "word-overlap"])
    assert done.exit_code == 0, done.output
    places = [done.stdout.index(document.split()[1]) for document in (DOCUMENTS[1], DOCUMENTS[2], DOCUMENTS[0])]
    assert places == sorted(places)


def test_the_grid_takes_its_name(tmp_path: Path) -> None:
    pytest.importorskip("ir_measures")
    pytest.importorskip("bm25s")
    data = tmp_path / "pairs.jsonl"
    lines = [{"query": QUERY, "pos": [DOCUMENTS[1]], "neg": [DOCUMENTS[0], DOCUMENTS[2]]}]
    data.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    arguments = [
        "evaluate",
        str(data),
        "--retriever",
        "bm25",
        "--reranker",
        "word-overlap",
        "-o",
        str(tmp_path / "out"),
    ]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert "word-overlap" in done.output
