"""No room to write: a message, nothing half-written, and what was done is kept for the next run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import tiny_checkpoints

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name == "nt", reason="limits and devices of POSIX")]

CODE = """
import resource, signal, sys
limit = int(sys.argv.pop(1))
if limit:
    # Without the signal, a write beyond the limit fails as on a full disk.
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
from rerank_plugins.cli import main
main()
"""


def run(limit: int, *arguments: object, shell: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", CODE, str(limit), *map(str, arguments)]
    if shell:
        command = ["sh", "-c", f'"$@" {shell}', "sh", *command]
    # Without the progress of a terminal, and with no cache of byte code to write under the limit.
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "HF_HUB_OFFLINE": "1"}
    return subprocess.run(command, capture_output=True, timeout=300, encoding="utf-8", env=environment, check=False)


def pairs(folder: Path, n: int) -> Path:
    path = folder / "pairs.jsonl"
    sentences = tiny_checkpoints.SENTENCES
    rows = [{"query": f"question {i}", "document": sentences[i % len(sentences)]} for i in range(n)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def is_a_message(done: subprocess.CompletedProcess[str]) -> bool:
    return done.returncode == 2 and "Traceback" not in done.stderr and "cannot be" in done.stderr


def test_score_keeps_its_lines_and_goes_on(tmp_path: Path, bert_reranker_folder: Path) -> None:
    n = 600
    options = ["--model", bert_reranker_folder, "--device", "cpu", "--output", tmp_path / "scores.jsonl"]
    arguments = ["score", pairs(tmp_path, n), *options]
    done = run(20_000, *arguments)
    assert is_a_message(done), done.stderr
    kept = (tmp_path / "scores.jsonl").read_text(encoding="utf-8")
    assert kept.endswith("\n")
    n_kept = len([json.loads(line) for line in kept.splitlines()])
    assert 0 < n_kept < n
    assert not list(tmp_path.rglob(".writing-*"))
    done = run(0, *arguments)
    assert done.returncode == 0, done.stderr
    assert f"{n - n_kept} pairs scored, {n_kept} were there" in done.stderr
    whole = (tmp_path / "scores.jsonl").read_text(encoding="utf-8")
    assert whole.startswith(kept)
    assert len(whole.splitlines()) == n


def test_an_export_leaves_nothing_half_written(tmp_path: Path, bert_reranker_folder: Path) -> None:
    done = run(20_000, "export", bert_reranker_folder, "--output", tmp_path / "exported")
    assert is_a_message(done), done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("command", ["models", "score", "rank"])
def test_an_output_that_is_full(command: str, tmp_path: Path, bert_reranker_folder: Path) -> None:
    rest = {"models": [], "score": [pairs(tmp_path, 3)], "rank": [pairs(tmp_path, 3), "--query", "q"]}[command]
    model = [] if command == "models" else ["--model", bert_reranker_folder]
    done = run(0, command, *rest, *model, shell="> /dev/full")
    assert is_a_message(done), done.stderr


def test_a_reader_that_is_gone_is_no_error_to_tell(tmp_path: Path, bert_reranker_folder: Path) -> None:
    arguments = ["score", pairs(tmp_path, 3000), "--model", bert_reranker_folder]
    done = run(0, *arguments, shell="| head -1")
    assert json.loads(done.stdout).keys() == {"score", "probability"}
    assert done.stderr == ""


def test_evaluate_leaves_nothing_half_written_and_goes_on(tmp_path: Path) -> None:
    data = tmp_path / "set.jsonl"
    rows = [{"query": f"word{i}", "pos": [f"word{i} is here"], "neg": [f"other{i}"]} for i in range(60)]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    out = tmp_path / "out"
    arguments = ["evaluate", data, "--output", out, "--retriever", "bm25", "--reranker", "none", "--no-report"]
    for limit in (10, 2_000):
        done = run(limit, *arguments)
        assert is_a_message(done), done.stderr
        assert not list(tmp_path.rglob(".writing-*"))
    done = run(0, *arguments)
    assert done.returncode == 0, done.stderr
    assert (out / "results.json").is_file()
