"""``python -m benchmarks.serving``: the server under load, beside the same model in this process.

Four measures, each with its target: throughput of many clients against one bulk call, what HTTP adds to one call,
a thousand connections at once, and ten times more requests than the model can answer.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.http_load import Answers, Asked, ask, at_once, running
from rerank_plugins import Reranker

_WORDS = ("panda", "bamboo", "train", "station", "river", "capital", "city", "music", "paper", "winter", "market")


def main(
    *,
    clients: Annotated[int, typer.Option(help="Clients that ask at the same time.")] = 32,
    passages: Annotated[int, typer.Option(help="Documents of a request.")] = 20,
    rounds: Annotated[int, typer.Option(help="Rounds of the first measure, in turns.")] = 5,
    connections: Annotated[int, typer.Option(help="Connections at once.")] = 1_000,
    overload_s: Annotated[float, typer.Option(help="Seconds of ten times too many requests.")] = 60.0,
    deadline_s: Annotated[float, typer.Option(help="What a caller of the last two measures waits at most.")] = 10.0,
    out: Annotated[Path | None, typer.Option(help="Where the JSON goes.")] = None,
) -> None:
    """Measure the server; nothing else should run on the machine."""
    with (
        Reranker("mini", device="cpu") as reranker,
        running(_command, ready="/readyz") as (port, process),
    ):
        asked = _requests(reranker, clients, passages)
        facts: dict[str, Any] = {"load_before": os.getloadavg(), "cores": os.cpu_count()}
        facts["throughput"] = _throughput(reranker, asked, port, rounds)
        facts["latency"] = _latency(reranker, asked, port, rounds)
        before_mb = _memory_mb(process)
        facts["connections"] = asyncio.run(at_once(asked, port, connections, deadline_s=deadline_s)).facts()
        capacity = facts["throughput"]["served_pairs_per_s"] / passages
        memory_mb = _Memory(process, every_s=overload_s / 10)
        answers, offered = asyncio.run(_overload(asked, port, 10 * capacity, overload_s, deadline_s, memory_mb))
        seconds_ok = answers.statuses[200] / overload_s
        facts["overload"] = {"offered": offered, "capacity_per_s": round(capacity, 1), **answers.facts()}
        facts["overload"]["answered_per_s"] = round(seconds_ok, 1)
        facts["memory_mb"] = {"before": before_mb, "each_tenth_of_the_overload": memory_mb.seen}
        facts["load_after"] = os.getloadavg()
    text = json.dumps(facts, indent=2)
    typer.echo(text)
    if out is not None:
        out.write_text(text + "\n", encoding="utf-8")


def _command(port: int) -> list[str]:
    options = ["--port", str(port), "--deadline-s", "600", "--drain-delay-s", "0"]
    return [sys.executable, "-m", "rerank_plugins", "serve", "mini", "--device", "cpu", "--quiet", *options]


def _requests(reranker: Reranker, n: int, passages: int) -> list[Asked]:
    chance = random.Random(0)

    def text(most: int) -> str:
        return " ".join(chance.choice(_WORDS) for _ in range(chance.randint(5, most)))

    made = []
    for _ in range(n):
        query, documents = text(12), [text(80) for _ in range(passages)]
        ranking = reranker.rank(query, documents)
        body = json.dumps({"model": "mini", "query": query, "documents": documents, "return_documents": False}).encode()
        order, scores = [one.index for one in ranking], [one.probability for one in ranking]
        made.append(Asked("/v1/rerank", query, documents, body, order, scores))
    return made


def _throughput(reranker: Reranker, asked: Sequence[Asked], port: int, rounds: int) -> dict[str, Any]:
    pairs = [(one.query, document) for one in asked for document in one.documents]
    bulk, served = [], []
    asyncio.run(at_once(asked, port, 2))
    for _ in range(rounds):
        started = time.perf_counter()
        reranker.score(pairs)
        bulk.append(len(pairs) / (time.perf_counter() - started))
        started = time.perf_counter()
        answers = asyncio.run(at_once(asked, port, len(asked)))
        served.append(len(pairs) / (time.perf_counter() - started))
        if answers.statuses != {200: len(asked)} or answers.wrong:
            raise RuntimeError(answers.facts())
    in_process, over_http = statistics.median(bulk), statistics.median(served)
    return {
        "bulk_pairs_per_s": round(in_process, 1),
        "served_pairs_per_s": round(over_http, 1),
        "ratio": round(over_http / in_process, 3),
        "target": 0.9,
    }


def _latency(reranker: Reranker, asked: Sequence[Asked], port: int, rounds: int) -> dict[str, Any]:
    here, there = [], []

    async def run() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for one in [*asked] * rounds:
            started = time.perf_counter()
            reranker.rank(one.query, one.documents)
            here.append(time.perf_counter() - started)
            started = time.perf_counter()
            await ask(reader, writer, one)
            there.append(time.perf_counter() - started)
        writer.close()

    asyncio.run(run())
    added = [1_000 * (b - a) for a, b in zip(here, there, strict=True)]
    return {
        "in_process_ms_p50": round(1_000 * statistics.median(here), 2),
        "served_ms_p50": round(1_000 * statistics.median(there), 2),
        "added_ms_p50": round(statistics.median(added), 2),
        "target_ms": 3,
    }


async def _overload(
    asked: Sequence[Asked], port: int, per_s: float, seconds: float, deadline_s: float, memory: _Memory
) -> tuple[Answers, int]:
    """Send requests at a rate, whether or not the others are answered, on as many connections as that takes."""
    answers, tasks = Answers(), set[asyncio.Task[None]]()
    idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
    started, sent = time.perf_counter(), 0

    async def one(number: int) -> None:
        what = asked[number % len(asked)]
        begun = time.perf_counter()
        reader, writer = idle.pop() if idle else await asyncio.open_connection("127.0.0.1", port)
        status, head, body = await ask(reader, writer, what, deadline_s=deadline_s)
        answers.add(status, head, body, what, time.perf_counter() - begun)
        idle.append((reader, writer))

    while (passed := time.perf_counter() - started) < seconds:
        while sent < passed * per_s:
            task = asyncio.create_task(one(sent))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            sent += 1
        memory.look(passed)
        await asyncio.sleep(0.005)
    await asyncio.gather(*tasks)
    memory.look(seconds)
    for _, writer in idle:
        writer.close()
    return answers, sent


class _Memory:
    """What a process has in memory, seen at equal distances of time."""

    def __init__(self, process: subprocess.Popen[bytes], *, every_s: float) -> None:
        self._process, self._every_s = process, every_s
        self.seen: list[float | None] = []

    def look(self, passed_s: float) -> None:
        """Take a reading if the time has come."""
        if passed_s >= len(self.seen) * self._every_s:
            self.seen.append(_memory_mb(self._process))


def _memory_mb(process: subprocess.Popen[bytes]) -> float | None:
    status = Path(f"/proc/{process.pid}/status")
    if not status.exists():
        return None
    line = next(one for one in status.read_text(encoding="utf-8").splitlines() if one.startswith("VmRSS"))
    return round(int(line.split()[1]) / 1_000, 1)


if __name__ == "__main__":
    typer.run(main)
