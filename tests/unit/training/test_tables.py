"""What a page and a terminal say about sets that were not trained on."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from rerank_plugins.cli.training.showing import show_result
from rerank_plugins.evaluation.results import Comparison
from rerank_plugins.training import TrainingResult
from rerank_plugins.training.results import MeasureChange, SetChange
from rerank_plugins.training.tables import measured_lines


def change(difference: float, p_value: float) -> MeasureChange:
    comparison = Comparison(difference=difference, p_value=p_value)
    return MeasureChange(name="nDCG@10", before=0.6, after=0.6 + difference, comparison=comparison, better=3, worse=4)


def result_of(*kept: tuple[str, MeasureChange], folder: str | Path = "my-reranker") -> TrainingResult:
    return TrainingResult(
        folder=Path(folder),
        steps=12,
        best_step=None,
        train_loss=0.5,
        seconds=30.0,
        n_rows=80,
        n_dev_queries=0,
        dev_name=None,
        changes=(),
        kept=tuple(SetChange(name=name, n_queries=40, changes=(one,)) for name, one in kept),
    )


def test_a_set_that_got_worse_for_certain_is_named_with_the_way_out(capsys: pytest.CaptureFixture[str]) -> None:
    result = result_of(("general", change(-0.02, 0.007)), ("other", change(-0.02, 0.2)), ("third", change(0.1, 0.001)))
    lines = measured_lines(result)
    assert [line for line in lines if "fell significantly" in line] == [
        "On 40 queries of `general`, by which no checkpoint was chosen: **nDCG@10 fell significantly.**"
    ]
    assert "`rerank-plugins merge`" in lines[-1]
    show_result(result, base="mini")
    said = " ".join(capsys.readouterr().out.split())
    assert "general got worse." in said
    assert "rerank-plugins merge my-reranker --base mini -o MERGED" in said


def test_the_command_can_be_pasted(capsys: pytest.CaptureFixture[str]) -> None:
    show_result(result_of(("general", change(-0.02, 0.007)), folder="my reranker"), base="some/it's [here]")
    command = next(line for line in capsys.readouterr().out.splitlines() if "rerank-plugins merge" in line)
    words = shlex.split(command[command.index("rerank-plugins") :])
    assert words == ["rerank-plugins", "merge", "my reranker", "--base", "some/it's [here]", "-o", "MERGED"]


def test_an_adapter_is_not_averaged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    result = result_of(("general", change(-0.02, 0.007)), folder=tmp_path)
    assert "merge" not in " ".join(measured_lines(result))
    show_result(result, base="mini")
    said = capsys.readouterr().out
    assert "general got worse." in said
    assert "rerank-plugins merge" not in said


def test_nothing_is_said_of_merging_where_nothing_fell(capsys: pytest.CaptureFixture[str]) -> None:
    result = result_of(("other", change(-0.02, 0.2)), ("third", change(0.1, 0.001)))
    assert "merge" not in " ".join(measured_lines(result))
    show_result(result, base="mini")
    assert "merge" not in capsys.readouterr().out
