"""The example scripts run and show what they promise."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"

pytest.importorskip("rerank_plugins_mini")


@pytest.mark.slow
def test_the_textbook_example_finds_more_with_a_reranker(capsys: pytest.CaptureFixture[str]) -> None:
    alone, reranked = runpy.run_path(str(EXAMPLES / "two_stage.py"))["main"]()
    assert 0 < alone < reranked <= 25
    printed = capsys.readouterr().out
    assert "retrieve 10, rerank, keep 3" in printed
    assert "✔" in printed


@pytest.mark.slow
def test_both_frameworks_return_the_same_documents(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("llama_index.core")
    pytest.importorskip("langchain_core")
    llamaindex, langchain = (
        runpy.run_path(str(EXAMPLES / f"two_stage_{name}.py"))["main"]() for name in ("llamaindex", "langchain")
    )
    assert llamaindex == langchain
    assert [len(found) for found in llamaindex] == [3, 3]
    assert "keep 3" in capsys.readouterr().out


@pytest.mark.slow
def test_a_domain_is_learned_from_its_questions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("accelerate")
    result = runpy.run_path(str(EXAMPLES / "finetune.py"))["main"]("en", tmp_path / "out", max_steps=2)
    assert {"README.md", "report.md", "calibration.json"} <= {path.name for path in result.folder.iterdir()}
    assert (tmp_path / "out" / "merged" / "model.safetensors").is_file()
    assert "nDCG@10" in capsys.readouterr().out
