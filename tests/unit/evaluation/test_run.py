from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rerank_plugins.errors import InvalidInputError
from rerank_plugins.evaluation import TimedRun, evaluate, ranked_ids, read_trec_run, write_trec_run
from rerank_plugins.evaluation.measures import parse_measures
from rerank_plugins.evaluation.run import in_order, quoted_name, unquoted_run


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


def test_a_damaged_file_is_our_error(tmp_path: Path) -> None:
    write_trec_run({f"q{n}": {f"d{n}": n / 7} for n in range(500)}, tmp_path / "a.gz")
    data = bytearray((tmp_path / "a.gz").read_bytes())
    data[40] ^= 0xFF
    (tmp_path / "a.gz").write_bytes(data)
    with pytest.raises(InvalidInputError, match="could not be read to its end"):
        read_trec_run(tmp_path / "a.gz")


def test_a_byte_order_mark_is_no_part_of_the_first_id(tmp_path: Path) -> None:
    (tmp_path / "r").write_bytes(b"\xef\xbb\xbfq Q0 a 1 0.5 t\n")
    assert read_trec_run(tmp_path / "r") == {"q": {"a": 0.5}}


def test_order_and_time() -> None:
    assert ranked_ids({"a": 1.0, "b": 3.0, "c": 2.0}) == ["b", "c", "a"]
    assert TimedRun({}, {"q1": 2.0, "q2": 4.0}).mean_ms == 3.0
    assert TimedRun({}, {}).mean_ms == 0.0


def test_in_order_separates_equal_scores_for_float32() -> None:
    scores = {"z": 1.0, "b": 1.0, "c": 1.0, "a": 1.0 - 1e-12, "d": 0.5, "e": 0.0, "f": 0.0}
    ordered = in_order(scores)
    assert list(ordered) == list(scores)
    values = np.array(list(ordered.values()), dtype=np.float32)
    assert (np.diff(values) < 0).all()
    assert values == pytest.approx(list(scores.values()), abs=1e-6)
    assert in_order({"a": 2.0, "b": 1.0}) == {"a": 2.0, "b": 1.0}


@pytest.mark.parametrize("scores", [{"a": 1.0, "b": 2.0}, {"a": float("nan")}, {"a": 1.0, "b": float("nan")}])
def test_in_order_refuses_what_is_not_in_order(scores: dict[str, float]) -> None:
    with pytest.raises(InvalidInputError, match="sort the scores first"):
        in_order(scores)


@given(st.lists(st.floats(-1e5, 1e5), min_size=1, max_size=30))
def test_measures_see_the_order_of_the_system(scores: list[float]) -> None:
    scores = sorted(scores, reverse=True)
    run = {f"d{i}": score for i, score in enumerate(scores)}
    last = f"d{len(scores) - 1}"
    figures = evaluate({"q": in_order(run)}, {"q": {last: 1}}, measures=parse_measures(["MRR@100"]))
    assert figures.mean("MRR@100") == pytest.approx(1 / len(scores))


@pytest.mark.parametrize(("line", "match"), [("q Q0 a 2 0.1 t", "is there twice"), ("q Q0 b 2 nan t", "score NaN")])
def test_a_run_that_contradicts_itself_is_refused(tmp_path: Path, line: str, match: str) -> None:
    (tmp_path / "r").write_text(f"q Q0 a 1 0.5 t\n{line}\n")
    with pytest.raises(InvalidInputError, match=f"line 2: .*{match}"):
        read_trec_run(tmp_path / "r")


def test_equal_scores_of_a_run_are_ordered_by_id_as_trec_eval_does(tmp_path: Path) -> None:
    (tmp_path / "r").write_text("q Q0 a 1 0.5 t\nq Q0 b 2 0.5 t\n")
    run = read_trec_run(tmp_path / "r")
    assert ranked_ids(run["q"]) == ["b", "a"]
    assert evaluate(run, {"q": {"a": 1}}, measures=parse_measures(["MRR@5"])).mean("MRR@5") == 0.5


def test_names_with_white_space_are_quoted() -> None:
    assert quoted_name("a-b/1:2") == "a-b/1:2"
    assert quoted_name("100%") == "100%"
    quoted = quoted_name("A title: 5 % é\t中")
    assert quoted.split() == [quoted]
    assert unquote(quoted) == "A title: 5 % é\t中"


@pytest.mark.parametrize("name", ["a\u200bb", "\u202eabc", "a\0b", "\ud800", "a b", " "])
def test_a_run_of_any_ids_is_written_and_has_its_ids_again(name: str, tmp_path: Path) -> None:
    write_trec_run({quoted_name(name): {quoted_name(name): 2.0, "d": 1.0}}, tmp_path / "r")
    read = unquoted_run(read_trec_run(tmp_path / "r"), queries=["q", name], documents=[name, "d"])
    assert read == {name: {name: 2.0, "d": 1.0}}
