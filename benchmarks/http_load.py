"""Requests to a server on this machine and what came back: for the measures of the server and of its peers."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Answers", "Asked", "ask", "at_once", "running"]

_SCORE_TOLERANCE = 1e-4
_START_S = 240.0
_LOOK_S = 0.2


@dataclass(frozen=True, slots=True)
class Asked:
    """A request to ``path`` and its right answer."""

    path: str
    query: str
    documents: list[str]
    body: bytes
    order: list[int]
    scores: list[float]


@dataclass(slots=True)
class Answers:
    """What came back: statuses, seconds by status, wrong answers, refusals that do not say when to come back."""

    statuses: Counter[int] = field(default_factory=Counter)
    seconds: dict[int, list[float]] = field(default_factory=dict)
    wrong: int = 0
    without_retry_after: int = 0

    def add(self, status: int, head: bytes, body: bytes, asked: Asked, seconds: float) -> None:
        self.statuses[status] += 1
        self.seconds.setdefault(status, []).append(seconds)
        if status == 429 and b"retry-after" not in head:
            self.without_retry_after += 1
        if status == 200 and not _is_right(body, asked):
            self.wrong += 1

    def facts(self) -> dict[str, Any]:
        found: dict[str, Any] = {"statuses": dict(self.statuses), "wrong": self.wrong}
        found["refused_without_retry_after"] = self.without_retry_after
        for status, seconds in sorted(self.seconds.items()):
            ordered = sorted(seconds)
            marks = {"p50": ordered[len(ordered) // 2], "p99": ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)]}
            found[f"ms_{status}"] = {name: round(1_000 * value, 1) for name, value in marks.items()}
        return found


async def at_once(asked: Sequence[Asked], port: int, n: int, *, deadline_s: float | None = None) -> Answers:
    """Send ``n`` requests at the same moment, each on a connection of its own."""
    answers = Answers()
    together = asyncio.Event()

    async def one(number: int) -> None:
        what = asked[number % len(asked)]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await together.wait()
        started = time.perf_counter()
        status, head, body = await ask(reader, writer, what, deadline_s=deadline_s)
        answers.add(status, head, body, what, time.perf_counter() - started)
        writer.close()

    tasks = [asyncio.create_task(one(number)) for number in range(n)]
    await asyncio.sleep(0)
    together.set()
    await asyncio.gather(*tasks)
    return answers


async def ask(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asked: Asked, *, deadline_s: float | None = None
) -> tuple[int, bytes, bytes]:
    """Send one request, and return the status, the head in lower case and the body of the answer."""
    wanted = "" if deadline_s is None else f"x-request-timeout-ms: {round(1_000 * deadline_s)}\r\n"
    head = (
        f"POST {asked.path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n{wanted}"
        f"content-length: {len(asked.body)}\r\n\r\n"
    )
    writer.write(head.encode() + asked.body)
    answer = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(answer.split(b"content-length: ")[1].split(b"\r\n")[0])
    return int(answer.split()[1]), answer, await reader.readexactly(length)


def _is_right(body: bytes, asked: Asked) -> bool:
    results = json.loads(body)["results"]
    scores = {one["index"]: one["relevance_score"] for one in results}
    expected = dict(zip(asked.order, asked.scores, strict=True))
    same = len(results) == len(expected) and scores.keys() == expected.keys()
    return same and all(abs(scores[index] - expected[index]) < _SCORE_TOLERANCE for index in scores)


@contextmanager
def running(command: Callable[[int], Sequence[str]], *, ready: str) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """Start a server on a free port, wait until it is ready, and end it afterwards.

    Args:
        command: Makes its command line from the port.
        ready: The path that answers 200 once it is ready.

    Raises:
        TimeoutError: It was not ready after four minutes.
        RuntimeError: It ended before.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with subprocess.Popen(command(port)) as process:
        try:
            asyncio.run(_ready(process, port, ready))
            yield port, process
        finally:
            process.terminate()


async def _ready(process: subprocess.Popen[bytes], port: int, path: str) -> None:
    started = time.perf_counter()
    while time.perf_counter() - started < _START_S:
        if process.poll() is not None:
            msg = f"the server ended with {process.returncode} before it was ready"
            raise RuntimeError(msg)
        if await _answers_200(port, path):
            return
        await asyncio.sleep(_LOOK_S)
    msg = f"{path} did not answer 200 within {_START_S:g} s"
    raise TimeoutError(msg)


async def _answers_200(port: int, path: str) -> bool:
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.write(f"GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    return b" 200 " in answer[:20]
