"""The server on a cluster: a replica that is killed under load costs a client that tries again nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from socket import socket

import httpx
import pytest
from ray_processes import process_ids

from rerank_plugins import Reranker

pytestmark = [pytest.mark.slow, pytest.mark.timeout(280)]

N_REQUESTS = 160
TEXTS = ["Berlin is the capital of Germany.", "A panda eats bamboo.", "Paris is the capital of France."]


@pytest.fixture
def server(checkpoints: Path) -> Iterator[str]:
    with socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "rerank_plugins", "serve", f"ranker={checkpoints / 'bert-reranker'}"]
    options = ["--ray", "--replicas", "2", "--cpus", "0.5", "--port", str(port), "--device", "cpu", "--quiet"]
    process = subprocess.Popen([*command, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        while not _is_ready(url):
            assert process.poll() is None
            time.sleep(0.2)
        yield url
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def ask(url: str, number: int, tries: list[int]) -> list[float]:
    """Ask until there is an answer, as every client of a server with replicas must."""
    body = {"query": f"capital {number}", "documents": TEXTS, "top_n": 3}
    for _ in range(20):
        try:
            answer = httpx.post(f"{url}/v1/rerank", json=body, timeout=30)
        except httpx.HTTPError:
            answer = None
        if answer is not None and answer.status_code == 200:
            results = {one["index"]: one["relevance_score"] for one in answer.json()["results"]}
            return [results[index] for index in range(len(TEXTS))]
        assert answer is None or answer.status_code in {429, 500, 503}, answer.text
        tries.append(number)
        time.sleep(0.3)
    pytest.fail(f"no answer to request {number}")


def test_a_killed_replica_loses_nothing(server: str, checkpoints: Path) -> None:
    replicas = process_ids("ServeReplica:rerank-plugins")
    assert len(replicas) == 2
    tries: list[int] = []
    with ThreadPoolExecutor(8) as clients:
        futures = [clients.submit(ask, server, number, tries) for number in range(N_REQUESTS)]
        while sum(one.done() for one in futures) < N_REQUESTS // 4:
            time.sleep(0.02)
        os.kill(replicas[0], signal.SIGKILL)
        answers = [one.result() for one in futures]
    with Reranker(checkpoints / "bert-reranker", device="cpu") as reranker:
        for number, scores in enumerate(answers):
            ranking = reranker.rank(f"capital {number}", TEXTS)
            expected = {one.index: one.probability for one in ranking}
            assert scores == pytest.approx([expected[index] for index in range(len(TEXTS))], abs=1e-6)
    deadline_s = time.monotonic() + 60
    while len(process_ids("ServeReplica:rerank-plugins")) < 2:
        assert time.monotonic() < deadline_s, "no replica takes the killed one's place"
        time.sleep(0.2)
