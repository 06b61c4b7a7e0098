"""``rerank-plugins score``: complete, in order, and resumable after any break."""

from __future__ import annotations

import json
import os
import shutil
import tracemalloc
from pathlib import Path

import pytest
import tiny_checkpoints
from typer.testing import CliRunner

from rerank_plugins import Reranker
from rerank_plugins.cli import app
from rerank_plugins.cli.score import _finished
from rerank_plugins.errors import InvalidInputError, ModelUnavailableError
from rerank_plugins.system.locks import let_go, lock_file

PAIRS = [("What do pandas eat?", text) for text in tiny_checkpoints.SENTENCES]


@pytest.fixture
def pairs_file(tmp_path: Path) -> Path:
    path = tmp_path / "pairs.jsonl"
    lines = [json.dumps({"query": query, "document": document}) for query, document in PAIRS]
    path.write_text("\n".join(lines) + "\n\n", encoding="utf-8")
    return path


def run(pairs: Path, output: Path, model: Path, *options: str) -> str:
    arguments = ["score", str(pairs), "--output", str(output), "--model", str(model), "--device", "cpu", *options]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def scores_of(output: Path) -> list[float]:
    return [json.loads(line)["score"] for line in output.read_text(encoding="utf-8").splitlines()]


def test_scores_and_probabilities_in_order(pairs_file: Path, tmp_path: Path, bert_reranker_folder: Path) -> None:
    output = tmp_path / "scores.jsonl"
    run(pairs_file, output, bert_reranker_folder)
    expected = Reranker(bert_reranker_folder, device="cpu").score(PAIRS)
    assert scores_of(output) == pytest.approx(expected, abs=1e-5)
    assert all(0 <= json.loads(line)["probability"] <= 1 for line in output.read_text().splitlines())


@pytest.mark.parametrize("kept_bytes", [0, 10, 55, 100])
def test_a_killed_run_goes_on(pairs_file: Path, tmp_path: Path, bert_reranker_folder: Path, kept_bytes: int) -> None:
    output = tmp_path / "scores.jsonl"
    run(pairs_file, output, bert_reranker_folder)
    whole = output.read_bytes()
    # A kill may stop in the middle of a line.
    output.write_bytes(whole[:kept_bytes])
    text = run(pairs_file, output, bert_reranker_folder)
    n_there = whole[:kept_bytes].count(b"\n")
    assert f"{len(PAIRS) - n_there} pairs scored, {n_there} were there" in text
    assert scores_of(output) == pytest.approx([json.loads(line)["score"] for line in whole.splitlines()], abs=1e-5)
    assert output.read_bytes().startswith(whole[: whole[:kept_bytes].rfind(b"\n") + 1])


def test_a_run_that_goes_on_does_not_keep_its_output_in_memory(tmp_path: Path) -> None:
    output, job, line = (
        tmp_path / "scores.jsonl",
        {"pairs": "pairs.jsonl", "sha256": "of its bytes"},
        b'{"score": 1.0, "probability": 0.7}\n',
    )
    output.write_bytes(line * 100_000 + line[:9])
    (tmp_path / "scores.jsonl.job.json").write_text(json.dumps(job))
    tracemalloc.start()
    try:
        assert _finished(output, job) == (100_000, 100_000 * len(line))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 500_000


def test_another_job_is_not_mixed_in(pairs_file: Path, tmp_path: Path, bert_reranker_folder: Path) -> None:
    output = tmp_path / "scores.jsonl"
    run(pairs_file, output, bert_reranker_folder)
    with pytest.raises(InvalidInputError, match="another job"):
        run(pairs_file, output, bert_reranker_folder, "--max-length", "16")
    run(pairs_file, output, bert_reranker_folder, "--max-length", "16", "--restart")
    expected = Reranker(bert_reranker_folder, device="cpu", max_length=16).score(PAIRS)
    assert scores_of(output) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("line", "words"), [("{", "line 1: not JSON"), ('["a", "b"]', "line 1: expected"), ('{"query": 3}', "expected")]
)
def test_a_wrong_line_is_told(tmp_path: Path, bert_reranker_folder: Path, line: str, words: str) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text(line + "\n", encoding="utf-8")
    with pytest.raises(InvalidInputError, match=words):
        run(path, tmp_path / "scores.jsonl", bert_reranker_folder)
    with pytest.raises(InvalidInputError, match="cannot be read"):
        run(tmp_path / "absent.jsonl", tmp_path / "scores.jsonl", bert_reranker_folder)


def test_a_misspelt_model_costs_nothing(pairs_file: Path, tmp_path: Path, bert_reranker_folder: Path) -> None:
    output = tmp_path / "scores.jsonl"
    for options in ([], ["--restart"]):
        with pytest.raises(ModelUnavailableError):
            run(pairs_file, output, Path("misspelt"), *options)
        run(pairs_file, output, bert_reranker_folder)
        before = output.read_bytes()
    assert before == output.read_bytes() != b""


@pytest.mark.parametrize("options", [[], ["--restart"]])
def test_the_pairs_are_not_overwritten(pairs_file: Path, bert_reranker_folder: Path, options: list[str]) -> None:
    before = pairs_file.read_bytes()
    with pytest.raises(InvalidInputError, match="is the file that is read"):
        run(pairs_file, pairs_file, bert_reranker_folder, *options)
    assert pairs_file.read_bytes() == before


def test_an_output_that_cannot_be_written(pairs_file: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="cannot be made"):
        run(pairs_file, pairs_file / "scores.jsonl", Path("misspelt"))
    (tmp_path / "folder").mkdir()
    with pytest.raises(InvalidInputError, match="cannot be written"):
        run(pairs_file, tmp_path / "folder", Path("misspelt"))


def test_folders_on_the_way_are_made_once_there_is_something_to_write(
    pairs_file: Path, tmp_path: Path, bert_reranker_folder: Path
) -> None:
    output = tmp_path / "new" / "deeper" / "scores.jsonl"
    with pytest.raises(ModelUnavailableError):
        run(pairs_file, output, Path("misspelt"))
    assert not (tmp_path / "new").exists()
    run(pairs_file, output, bert_reranker_folder)
    assert len(scores_of(output)) == len(PAIRS)


def test_a_byte_order_mark_and_carriage_returns(tmp_path: Path, bert_reranker_folder: Path) -> None:
    (tmp_path / "pairs.jsonl").write_bytes(
        b'\xef\xbb\xbf{"query": "a", "document": "b"}\r\n\r\n{"query": "a", "document": "b"}'
    )
    run(tmp_path / "pairs.jsonl", tmp_path / "scores.jsonl", bert_reranker_folder)
    first, second = scores_of(tmp_path / "scores.jsonl")
    assert first == second


def test_pairs_that_are_not_utf8(tmp_path: Path, bert_reranker_folder: Path) -> None:
    (tmp_path / "pairs.jsonl").write_bytes(b'{"query": "a", "document": "b"}\n{"query": "\xff"}\n')
    with pytest.raises(InvalidInputError, match=r"line 2: not UTF-8 \(byte 11\)"):
        run(tmp_path / "pairs.jsonl", tmp_path / "scores.jsonl", bert_reranker_folder)


def test_two_runs_do_not_write_one_file(pairs_file: Path, tmp_path: Path, bert_reranker_folder: Path) -> None:
    """Two that went on at the same place left its rest twice; and a line that is being written is not cut off."""
    output = tmp_path / "scores.jsonl"
    run(pairs_file, output, bert_reranker_folder)
    output.write_bytes(output.read_bytes()[:55])
    other = lock_file(output)
    try:
        with pytest.raises(InvalidInputError, match="is being written by another process"):
            run(pairs_file, output, bert_reranker_folder)
    finally:
        let_go(other)
    assert len(output.read_bytes()) == 55
    run(pairs_file, output, bert_reranker_folder)
    assert len(scores_of(output)) == len(PAIRS)


def test_pairs_or_a_model_that_became_others(pairs_file: Path, tmp_path: Path, bert_reranker_folder: Path) -> None:
    """Neither a name nor a number of bytes says that they are the same."""
    output, model = tmp_path / "scores.jsonl", tmp_path / "model"
    shutil.copytree(bert_reranker_folder, model)
    run(pairs_file, output, model)
    before = pairs_file.read_bytes()
    pairs_file.write_bytes(before.replace(b"pandas", b"lizard"))
    with pytest.raises(InvalidInputError, match="another job"):
        run(pairs_file, output, model)
    pairs_file.write_bytes(before)
    assert f"0 pairs scored, {len(PAIRS)} were there" in run(pairs_file, output, model)
    os.utime(model / "model.safetensors", ns=(0, 0))
    with pytest.raises(InvalidInputError, match="another job"):
        run(pairs_file, output, model)


@pytest.mark.parametrize("command", ["score", "embed", "serve"])
def test_options_of_a_cluster_do_not_do_nothing(pairs_file: Path, tmp_path: Path, command: str) -> None:
    arguments = ["misspelt"] if command == "serve" else [str(pairs_file), "--output", str(tmp_path / "out")]
    done = CliRunner().invoke(app, [command, *arguments, "--gpus", "0.5"])
    assert isinstance(done.exception, InvalidInputError)
    assert "--gpus 0.5 does nothing without --ray" in str(done.exception)


@pytest.mark.parametrize(
    ("command", "options", "missing"),
    [
        ("score", ["--part-format", "jsonl"], "--ray"),
        ("score", ["--rows-per-block", "10"], "--ray"),
        ("serve", ["--max-replicas", "2"], "--ray"),
        ("serve", ["--target-waiting-tokens", "1000"], "--ray"),
        ("serve", ["--ray", "--target-waiting-tokens", "1000"], "--max-replicas"),
    ],
)
def test_options_that_count_with_another_are_refused_without_it(
    pairs_file: Path, command: str, options: list[str], missing: str
) -> None:
    done = CliRunner().invoke(app, [command, "misspelt" if command == "serve" else str(pairs_file), *options])
    assert isinstance(done.exception, InvalidInputError)
    assert f"{options[-2]} {options[-1]} does nothing without {missing}:" in str(done.exception)


def test_a_delay_that_ray_serve_does_not_wait_for_is_refused() -> None:
    done = CliRunner().invoke(app, ["serve", "misspelt", "--ray", "--drain-delay-s", "10"])
    assert isinstance(done.exception, InvalidInputError)
    assert "--drain-delay-s 10 does nothing with --ray: " in str(done.exception)
    assert "leave it out" in str(done.exception)
    # Its own value is no wish of anybody's: what follows is an error about the key that other machines would not need.
    done = CliRunner().invoke(app, ["serve", "misspelt", "--ray", "--host", "0.0.0.0"])
    assert "there is no API key" in str(done.exception)


def test_a_column_to_keep_is_not_dropped_in_silence(pairs_file: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="--keep id needs --ray"):
        run(pairs_file, tmp_path / "scores.jsonl", Path("misspelt"), "--keep", "id")


@pytest.mark.skipif(not Path("/dev/null").exists(), reason="needs a device")
def test_nothing_is_written_beside_a_device(pairs_file: Path, bert_reranker_folder: Path) -> None:
    run(pairs_file, Path("/dev/null"), bert_reranker_folder)
    assert not Path("/dev/null.job.json").exists()
