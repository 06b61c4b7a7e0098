from __future__ import annotations

from pathlib import Path

import pytest

from rerank_plugins.errors import InvalidInputError
from rerank_plugins.evaluation import TimedRun, ranked_ids, read_trec_run, write_trec_run


@pytest.mark.parametrize("name", ["a.run", "a.run.gz"])
def test_round_trip_keeps_every_digit(tmp_path: Path, name: str) -> None:
    run = {"q1": {"a": 0.1 + 0.2, "b": 1.0}, "q2": {"中": -1e-12}}
    write_trec_run(run, tmp_path / name, tag="x")
    assert read_trec_run(tmp_path / name) == run


def test_written_lines(tmp_path: Path) -> None:
    write_trec_run({"q": {"a": 1.0, "b": 2.0, "c": 1.0}}, tmp_path / "r")
    assert (tmp_path / "r").read_text().splitlines() == [
        "q Q0 b 1 2.0 rerank-plugins",
        "q Q0 c 2 1.0 rerank-plugins",
        "q Q0 a 3 1.0 rerank-plugins",
    ]


@pytest.mark.parametrize("run", [{"q 1": {"a": 1.0}}, {"q": {"a\tb": 1.0}}, {"q": {"": 1.0}}])
def test_names_that_the_format_cannot_hold(tmp_path: Path, run: dict[str, dict[str, float]]) -> None:
    with pytest.raises(InvalidInputError, match="white space"):
        write_trec_run(run, tmp_path / "r")


def test_nan_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="NaN"):
        write_trec_run({"q": {"a": float("nan")}}, tmp_path / "r")
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize("line", ["q Q0 a 1 0.5", "q Q0 a 1 high tag"])
def test_malformed_line_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "r").write_text(f"q Q0 a 1 0.5 t\n{line}\n")
    with pytest.raises(InvalidInputError, match="line 2"):
        read_trec_run(tmp_path / "r")


def test_missing_file_is_our_error(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="could not be read"):
        read_trec_run(tmp_path / "none.gz")


def test_order_and_time() -> None:
    assert ranked_ids({"a": 1.0, "b": 3.0, "c": 2.0}) == ["b", "c", "a"]
    assert TimedRun({}, {"q1": 2.0, "q2": 4.0}).mean_ms == 3.0
    assert TimedRun({}, {}).mean_ms == 0.0
