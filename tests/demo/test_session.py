from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import pytest
import tiny_checkpoints
from rerank_plugins_demo import DemoOptions, run_demo, samples
from rich.console import Console

from rerank_plugins.errors import InvalidInputError, MissingExtraError

ADAPTERS = ("llama_index.postprocessor.rerank_plugins", "langchain_rerank_plugins", "langchain_classic")


def installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


@pytest.mark.slow
@pytest.mark.skipif(not all(map(installed, ADAPTERS)), reason="needs both adapters and langchain-classic")
def test_whole_demonstration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(samples, "SAMPLE_SETS", [one for one in samples.SAMPLE_SETS if one.name == "t2ranking_sample"])
    options = DemoOptions(
        model=str(tiny_checkpoints.bert_reranker(tmp_path / "bert-reranker")),
        embedder=str(tiny_checkpoints.bert_embedder(tmp_path / "bert-embedder")),
        top_k=200,
        max_queries=2,
        output=tmp_path / "out",
        device="cpu",
    )
    console = Console(width=160)
    with console.capture() as captured:
        result = run_demo(options, console)
    shown = captured.get()
    # By the core, which is first; the adapters of both frameworks have the same model.
    assert sum("only partly read" in record.getMessage() for record in caplog.records) == 1
    assert result.agree
    assert "Same documents in the same order: LangChain ContextualCompressionRetriever" in shown
    assert "one copy of each" in shown
    assert [stage.name for stage in result.stages] == ["BM25", "dense", "dense + rerank"]
    assert result.picture.read_bytes().startswith(b"\x89PNG")
    rows = json.loads(result.figures.read_text())["rows"]
    assert {row["system"] for row in rows} == {"BM25", "dense", "dense + rerank"}
    assert all(0.0 <= row["nDCG@10"] <= 1.0 and row["ms_per_query"] > 0.0 for row in rows)


@pytest.mark.parametrize("option", ["top_k", "max_queries"])
def test_impossible_numbers(option: str) -> None:
    with pytest.raises(InvalidInputError, match=f"{option} must be 1 or more, got 0"):
        run_demo(DemoOptions(**{option: 0}), Console(quiet=True))


def test_missing_framework_is_told_before_any_work(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "ir_measures", None)
    with pytest.raises(MissingExtraError, match=r'pip install "rerank-plugins\[demo\]"'):
        run_demo(DemoOptions(output=tmp_path / "out"), Console(quiet=True))
    assert not (tmp_path / "out").exists()


def test_output_that_cannot_be_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rerank_plugins_demo.session.check_extras", lambda: None)
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInputError, match="cannot be made"):
        run_demo(DemoOptions(output=tmp_path / "file"), Console(quiet=True))
