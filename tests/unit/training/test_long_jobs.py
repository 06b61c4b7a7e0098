"""Labelling and mining of long files: killed twice, nothing lost, nothing done twice, in flat memory.

The long version: ``RERANK_ROWS=1000000 pytest tests/unit/training/test_long_jobs.py -s``.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest

N_ROWS = int(os.environ.get("RERANK_ROWS", "4000"))
N_POOL = 400
WORKER = Path(__file__).parents[2] / "long_jobs_worker.py"
WORDS = [f"word{number}" for number in range(400)]
MOST_BYTES = 200_000_000
ALL_AGAIN = 50_000
"""Rows up to which the work is also done in one go, to compare every byte."""


def some_words(draws: random.Random, n: int) -> str:
    return " ".join(draws.choices(WORDS, k=n))


def write_data(path: Path) -> Path:
    draws = random.Random(1)
    with path.open("w", encoding="utf-8") as file:
        for number in range(N_ROWS):
            asked = some_words(draws, 4)
            row = {"query": f"q{number} {asked}", "pos": [f"{asked} {some_words(draws, 8)}"]}
            file.write(json.dumps({**row, "neg": [some_words(draws, 12)]}) + "\n")
    return path


def write_pool(path: Path) -> Path:
    draws = random.Random(2)
    path.write_text("".join(json.dumps({"text": some_words(draws, 12)}) + "\n" for _ in range(N_POOL)))
    return path


def started(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, str(WORKER), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def finished(*arguments: object) -> dict[str, Any]:
    process = started(*arguments)
    try:
        output, _ = process.communicate()
    finally:
        process.kill()
    assert process.returncode == 0
    return json.loads(output)  # type: ignore[no-any-return]


def rows_done(output: Path) -> int:
    try:
        return int(json.loads(output.with_name(output.name + ".job.json").read_text())["rows"])
    except (OSError, ValueError):
        return 0


def killed_after(n_rows: int, *arguments: object, output: Path) -> int:
    """Kill a worker with SIGKILL once the journal has so many rows; return how many it has then."""
    process = started(*arguments)
    try:
        while rows_done(output) < n_rows:
            assert process.poll() is None, "it ended before it could be killed"
            time.sleep(0.005)
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    return rows_done(output)


def lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        yield from map(json.loads, file)


@pytest.mark.slow
@pytest.mark.timeout(0 if N_ROWS > ALL_AGAIN else 300)
@pytest.mark.parametrize("command", ["label", "mine"])
def test_killed_twice_and_nothing_is_lost_or_done_twice(command: str, tmp_path: Path) -> None:
    data, output = write_data(tmp_path / "data.jsonl"), tmp_path / "out.jsonl"
    pool = [write_pool(tmp_path / "pool.jsonl")] if command == "mine" else []
    work = (command, data, output, *pool)
    first = killed_after(N_ROWS // 4, *work, output=output)
    second = killed_after(max(first + 1, N_ROWS // 2), *work, output=output)
    # As if it had died inside of a write.
    with output.open("ab") as file:
        file.write(b'{"query": "half a')
    result = finished(*work)
    assert 0 < first < second <= result["n_resumed"] < result["n_rows"] == N_ROWS
    n_texts = 2 if command == "label" else 6
    for before, after in zip_longest(lines(data), lines(output)):
        assert (after["query"], after["pos"], after["neg"][0]) == (before["query"], before["pos"], before["neg"][0])
        n_scores = len(after.get("pos_scores", ())) + len(after.get("neg_scores", ()))
        assert n_scores == 2 if command == "label" else len(set(after["neg"])) == n_texts
    sys.stdout.write(f"{command}: {N_ROWS} rows, {result['peak'] - result['start']} bytes more at most: {result}\n")
    assert result["peak"] - result["start"] < MOST_BYTES
    if N_ROWS <= ALL_AGAIN:
        again = tmp_path / "again.jsonl"
        whole = finished(command, data, again, *pool)
        assert again.read_bytes() == output.read_bytes()
        ignored = {"n_resumed", "start", "peak"}
        assert {key: value for key, value in whole.items() if key not in ignored} == {
            key: value for key, value in result.items() if key not in ignored
        }
