"""The command as a process on loopback: port before model, half-sent requests, SIGTERM, 1,000 connections."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

pytest.importorskip("uvicorn", reason="the extra serve is not installed")
pytestmark = pytest.mark.slow
"""Each starts a program that imports torch."""

BODY = {"model": "ranker", "query": "which animal eats bamboo", "documents": ["the panda eats bamboo", "a train"]}


class Server:
    """A server process and its address."""

    def __init__(self, folder: Path, *options: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        command = [sys.executable, "-m", "rerank_plugins", "serve", f"ranker={folder}", "--port", str(self.port)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [*command, "--device", "cpu", *options], env=environment, stderr=subprocess.PIPE, text=True
        )

    def wait(self, status: int = 200) -> None:
        end = time.monotonic() + 120
        while time.monotonic() < end:
            try:
                if httpx.get(f"{self.url}/readyz", timeout=5).status_code == status:
                    return
            except httpx.TransportError:
                assert self.process.poll() is None, self.process.stderr.read()
            time.sleep(0.05)
        raise TimeoutError

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


@pytest.fixture(scope="module")
def server(checkpoints: Path) -> Iterator[Server]:
    options = ("--receive-s", "1.5", "--drain-delay-s", "0", "--max-body-bytes", "2000000", "--quiet")
    made = Server(checkpoints / "bert-reranker", *options)
    try:
        made.wait()
        yield made
    finally:
        made.process.kill()
        made.process.communicate()


def test_the_port_is_open_before_the_model_is_loaded_and_sigterm_ends_with_0(checkpoints: Path) -> None:
    made = Server(checkpoints / "bert-reranker", "--drain-delay-s", "0")
    try:
        made.wait(503)
        early = httpx.post(f"{made.url}/v1/rerank", json=BODY)
        made.wait(200)
        assert (early.status_code, early.headers["retry-after"]) == (503, "5")
        assert httpx.post(f"{made.url}/v1/rerank", json=BODY).status_code == 200
        assert made.end() == 0
    finally:
        made.process.kill()
        _, log = made.process.communicate()
    assert "POST /v1/rerank 200" in log
    assert "bamboo" not in log


def test_a_model_that_cannot_be_opened_ends_the_program_with_its_message(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    made = Server(tmp_path)
    _, log = made.process.communicate(timeout=120)
    assert made.process.returncode == 2
    assert "Traceback" not in log
    assert str(tmp_path) in log


@pytest.mark.parametrize(
    "half",
    [b"", b"POST /v1/rer", b"POST /v1/rerank HTTP/1.1\r\nHost: x\r\nContent-Le"],
    ids=["nothing", "a line", "headers"],
)
def test_half_sent_headers_end(server: Server, half: bytes) -> None:
    with server.connect() as connection:
        connection.sendall(half)
        started = time.monotonic()
        answer = connection.recv(1_000)
        assert answer.startswith(b"HTTP/1.1 408")
        assert connection.recv(1_000) == b""
        assert 1 < time.monotonic() - started < 20


def test_a_second_request_that_is_half_sent_ends_too(server: Server) -> None:
    with server.connect() as connection:
        connection.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = b""
        while b"alive" not in answer:  # Head and body may come one after the other.
            answer += connection.recv(1_000)
        assert answer.startswith(b"HTTP/1.1 200")
        connection.sendall(b"GET /live")
        assert connection.recv(1_000).startswith(b"HTTP/1.1 408")


def whole(connection: socket.socket) -> bytes:
    """Return all that comes until the other side closes."""
    pieces = []
    while piece := connection.recv(2_000):
        pieces.append(piece)
    return b"".join(pieces)


def test_half_sent_bodies_end_with_the_dialects_words(server: Server) -> None:
    head = b"POST /v2/rerank HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"
    connections = [server.connect() for _ in range(100)]
    try:
        for connection in connections:
            connection.sendall(head)
        # The others are served meanwhile.
        assert httpx.post(f"{server.url}/v1/rerank", json=BODY).status_code == 200
        for connection in connections:
            answer = whole(connection)
            assert answer.startswith(b"HTTP/1.1 408")
            assert b'"message"' in answer
    finally:
        for connection in connections:
            connection.close()


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_of_100_mb_is_413_in_flat_memory(server: Server, chunked: bool) -> None:
    status = Path(f"/proc/{server.process.pid}/status")
    if not status.exists():
        pytest.skip("this system does not tell a process's memory")
    before = memory_mb(status)
    piece = b"a" * 1_000_000

    def pieces() -> Iterator[bytes]:
        for _ in range(30 if chunked else 100):
            yield piece

    headers = {} if chunked else {"content-length": "100000000"}
    if chunked:
        response = httpx.post(f"{server.url}/rerank", content=pieces(), headers=headers, timeout=60)
        assert response.status_code == 413
        assert "max-body-bytes" in response.json()["error"]
    else:
        # More than is read and thrown away; whoever goes on sending loses the connection.
        try:
            response = httpx.post(f"{server.url}/rerank", content=pieces(), headers=headers, timeout=60)
            assert response.status_code == 413
        except httpx.TransportError:
            pass
    assert memory_mb(status) - before < 16
    assert httpx.post(f"{server.url}/v1/rerank", json=BODY).status_code == 200


def memory_mb(status: Path) -> float:
    line = next(one for one in status.read_text().splitlines() if one.startswith("VmRSS"))
    return int(line.split()[1]) / 1_000


def test_a_thousand_connections_at_once(checkpoints: Path) -> None:
    # With the usual time for headers to arrive: a thousand at once take more than that of the other tests.
    server = Server(checkpoints / "bert-reranker", "--drain-delay-s", "0", "--quiet")

    async def run() -> list[httpx.Response]:
        limits = httpx.Limits(max_connections=1_000, max_keepalive_connections=1_000)
        async with httpx.AsyncClient(limits=limits, timeout=120) as client:
            return await asyncio.gather(*(client.post(f"{server.url}/v1/rerank", json=BODY) for _ in range(1_000)))

    try:
        server.wait()
        answers = asyncio.run(run())
    finally:
        server.process.kill()
        server.process.communicate()
    orders = {tuple(one["index"] for one in answer.json()["results"]) for answer in answers if answer.is_success}
    assert {answer.status_code for answer in answers} <= {200, 429}
    assert len(orders) == 1


def test_sigterm_finishes_what_is_under_way(checkpoints: Path) -> None:
    made = Server(checkpoints / "bert-reranker", "--drain-delay-s", "1")

    async def run() -> tuple[list[httpx.Response], httpx.Response]:
        body = BODY | {"documents": [f"the panda {number} eats bamboo " * 30 for number in range(100)]}
        async with httpx.AsyncClient(timeout=60) as client:
            calls = [asyncio.create_task(client.post(f"{made.url}/v1/rerank", json=body)) for _ in range(8)]
            await asyncio.sleep(0.3)
            made.process.send_signal(signal.SIGTERM)
            await asyncio.sleep(0.2)
            probe = await client.get(f"{made.url}/readyz")
            return await asyncio.gather(*calls), probe

    try:
        made.wait()
        answers, probe = asyncio.run(run())
        assert [answer.status_code for answer in answers] == [200] * 8
        assert (probe.status_code, probe.json()) == (503, {"status": "draining"})
        assert made.process.wait(60) == 0
    finally:
        made.process.kill()
        made.process.communicate()


def test_a_browser_gets_the_page_and_asks_again_on_the_same_connection(server: Server) -> None:
    with httpx.Client(base_url=server.url, headers={"accept": "text/html"}) as client:
        first = client.get("/")
        again = client.get("/", headers={"if-none-match": first.headers["etag"]})
        head = client.head("/page/page.js")
        third = client.get("/page/page.js")
    assert (first.status_code, first.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert (again.status_code, again.content) == (304, b"")
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", str(len(third.content)))


def test_the_page_can_be_left_out(checkpoints: Path) -> None:
    server = Server(checkpoints / "bert-reranker", "--no-page", "--drain-delay-s", "0", "--quiet")
    try:
        server.wait()
        assert httpx.get(server.url, headers={"accept": "text/html"}).json() == {"status": "ready"}
        assert httpx.get(f"{server.url}/page/page.js").status_code == 404
    finally:
        server.process.kill()
        server.process.communicate()
