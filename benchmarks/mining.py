"""``python -m benchmarks.mining``: a million rows mined in flat memory, by a process that is killed twice under way.

Rows and pool are made up. ``rerank-plugins mine`` runs as a process of its own, and is killed with SIGKILL on the way;
the run that goes on must leave each row once, in order. Memory is that of each process, behind its first rows.
"""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from rerank_plugins.training.row_job import journal_of

__all__ = ["main"]

_TEXTS, _WORDS, _LENGTH, _NEGATIVES = 2_000, 5_000, 20, 2
_POLL_S = 0.2


def main(
    *,
    rows: Annotated[int, typer.Option(min=1_000, help="Rows that are mined.")] = 1_000_000,
    kills: Annotated[int, typer.Option(min=0, help="How often the process is killed, in equal parts.")] = 2,
    scratch: Annotated[Path | None, typer.Option(help="Where about 700 bytes a row are written.")] = None,
) -> None:
    """Mine, kill, go on, and count."""
    with TemporaryDirectory(dir=scratch) as folder:
        data, pool, output = (Path(folder) / name for name in ("rows.jsonl", "pool.jsonl", "mined.jsonl"))
        texts = _texts()
        pool.write_text("".join(f"{json.dumps({'text': text})}\n" for text in texts), encoding="utf-8")
        with data.open("w", encoding="utf-8") as file:
            file.writelines(f"{json.dumps(_row(number, texts))}\n" for number in range(rows))
        start = time.monotonic()
        growths = [_mine(data, pool, output, until=rows * (kill + 1) // (kills + 1)) for kill in range(kills)]
        growths.append(_mine(data, pool, output, until=None))
        seconds = time.monotonic() - start
        lost, doubled, wrong = _faults(output, texts, rows)
    said = ", ".join(f"{one:.0f}" for one in growths)
    sys.stdout.write(f"{rows:,} rows in {seconds:.0f} s, killed {kills} times: {lost} lost, {doubled} doubled, ")
    sys.stdout.write(f"{wrong} wrong; memory of each process behind its first rows, MB more at most: {said}\n")


def _texts() -> list[str]:
    generator = random.Random(7)
    words = [f"word{number}" for number in range(_WORDS)]
    return [" ".join(generator.choices(words, k=_LENGTH)) for _ in range(_TEXTS)]


def _row(number: int, texts: list[str]) -> dict[str, object]:
    """Return a row: a question of some words of its answer, with a number that no other has."""
    text = texts[number % len(texts)]
    return {"query": f"{text.rsplit(' ', _LENGTH // 2)[0]} {number}", "pos": [text]}


def _mine(data: Path, pool: Path, output: Path, *, until: int | None) -> float:
    """Run the command until so many rows are done, or to its end; return how much its memory grew, in MB."""
    command = [sys.executable, "-m", "rerank_plugins", "mine", str(data), "--output", str(output)]
    command += ["--candidate-pool", str(pool), "--retriever", "bm25", "--range-for-sampling", "1-30"]
    command += ["--negative-number", str(_NEGATIVES)]
    found = _rows_done(output)
    samples: list[float] = []
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None:
            done = _rows_done(output)
            if done > found:
                samples += _resident_mb(process.pid)
            if until is not None and done >= until:
                process.send_signal(signal.SIGKILL)
                process.wait()
            time.sleep(_POLL_S)
    if until is None and process.returncode != 0:
        msg = f"mine ended with exit code {process.returncode}"
        raise RuntimeError(msg)
    return max(samples) - samples[0] if samples else 0.0


def _rows_done(output: Path) -> int:
    journal = journal_of(output)
    return int(json.loads(journal.read_text(encoding="utf-8"))["rows"]) if journal.exists() else 0


def _resident_mb(process: int) -> Iterator[float]:
    """Yield the memory of a process; nothing if it has ended meanwhile."""
    try:
        lines = Path(f"/proc/{process}/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return
    yield from (int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS:"))


def _faults(output: Path, texts: list[str], rows: int) -> tuple[int, int, int]:
    """Return how many rows are missing, there twice, and not as they must be."""
    seen = bytearray(rows)
    doubled = wrong = 0
    with output.open(encoding="utf-8") as file:
        for place, line in enumerate(file):
            row = json.loads(line)
            number = int(row["query"].rsplit(" ", 1)[1])
            doubled += seen[number]
            seen[number] = 1
            answer = texts[number % len(texts)]
            is_whole = row["pos"] == [answer] and len(set(row["neg"]) - {answer}) == _NEGATIVES
            wrong += number != place or not is_whole
    return rows - sum(seen), doubled, wrong


if __name__ == "__main__":
    typer.run(main)
