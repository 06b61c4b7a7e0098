"""Jobs on a cluster: a killed worker and a killed driver lose nothing, and no row comes twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ray_processes import process_ids

from rerank_plugins import Reranker

pytestmark = [pytest.mark.slow, pytest.mark.timeout(280)]

N_ROWS, ROWS_PER_BLOCK = 1_200, 40


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    path = tmp_path / "pairs.jsonl"
    rows = [{"id": n, "query": f"number {n % 7}", "document": f"{n} is a number " * (n % 60)} for n in range(N_ROWS)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def score(model: Path, pairs: Path, output: Path) -> subprocess.Popen[str]:
    options = ["--model", str(model), "--device", "cpu", "--ray", "--actors", "2", "--keep", "id"]
    command = [sys.executable, "-m", "rerank_plugins", "score", str(pairs), "--output", str(output), *options]
    return subprocess.Popen(
        [*command, "--part-format", "jsonl", "--rows-per-block", str(ROWS_PER_BLOCK)], stderr=subprocess.PIPE, text=True
    )


def parts(output: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (output / "parts").glob("part-*")}


def wait_for_parts(output: Path, n_parts: int, process: subprocess.Popen[str]) -> None:
    while len(parts(output)) < n_parts:
        assert process.poll() is None, process.stderr and process.stderr.read()
        time.sleep(0.05)


def check_scores(model: Path, pairs: Path, output: Path) -> None:
    rows = [json.loads(line) for _, part in sorted(parts(output).items()) for line in part.splitlines()]
    assert [row["id"] for row in rows] == list(range(N_ROWS))
    inputs = [json.loads(line) for line in pairs.read_text().splitlines()]
    with Reranker(model, device="cpu") as reranker:
        expected = reranker.score([(row["query"], row["document"]) for row in inputs])
    assert [row["score"] for row in rows] == pytest.approx([float(one) for one in expected], abs=1e-5)


def test_a_killed_worker_loses_nothing(checkpoints: Path, pairs: Path, tmp_path: Path) -> None:
    model, output = checkpoints / "bert-reranker", tmp_path / "scores"
    driver = score(model, pairs, output)
    wait_for_parts(output, 3, driver)
    workers = process_ids("ray::_Actor")
    os.kill(workers[0], signal.SIGKILL)
    _, told = driver.communicate(timeout=200)
    assert driver.returncode == 0, told
    check_scores(model, pairs, output)


def test_after_a_killed_driver_the_rest_is_done(checkpoints: Path, pairs: Path, tmp_path: Path) -> None:
    model, output = checkpoints / "bert-reranker", tmp_path / "scores"
    driver = score(model, pairs, output)
    wait_for_parts(output, 5, driver)
    driver.kill()
    driver.communicate()
    # Its workers may finish the blocks that they have.
    while process_ids("ray::_Actor"):
        time.sleep(0.2)
    before = parts(output)
    assert 5 <= len(before) < N_ROWS // ROWS_PER_BLOCK
    again = score(model, pairs, output)
    _, told = again.communicate(timeout=200)
    assert again.returncode == 0, told
    assert f"{N_ROWS - len(before) * ROWS_PER_BLOCK} rows done, {len(before) * ROWS_PER_BLOCK} were there" in told
    assert {name: parts(output)[name] for name in before} == before
    check_scores(model, pairs, output)


def test_a_model_that_cannot_be_opened_is_told_as_everywhere(pairs: Path, tmp_path: Path) -> None:
    driver = score(tmp_path / "no-model", pairs, tmp_path / "scores")
    _, told = driver.communicate(timeout=200)
    assert driver.returncode == 2
    assert "error: " in told
    assert "no-model" in told
    assert "Traceback" not in told
