"""A request ends with its time, whatever a server sends and however slowly, and its connection with it."""

from __future__ import annotations

import asyncio
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from dripping import dripping_server
from scripted_server import Answer, scripted_server

from rerank_plugins.engine.deadline import Deadline
from rerank_plugins.errors import DeadlineExceededError, RemoteError
from rerank_plugins.remote import HttpClient, HttpSettings

ONCE = HttpSettings(timeout_s=0.5, connect_timeout_s=0.5, retries=0)
LIMIT_S = 10.0
"""These servers go on for ever. A busy machine adds seconds to the half second."""

STATUS, HEADERS = b"HTTP/1.1 200 OK\r\n", b"Content-Type: application/json\r\nContent-Length: 100000\r\n\r\n"
ANSWERS = {
    "status line": {"drip": STATUS.strip() * 50},
    "headers": {"at_once": STATUS, "drip": b"X-Slow: yes\r\n"},
    "one header": {"at_once": STATUS + b"X-Slow: ", "drip": b"yes"},
    "body": {"at_once": STATUS + HEADERS, "drip": b"["},
    "chunks": {"at_once": STATUS + b"Transfer-Encoding: chunked\r\n\r\n", "drip": b"1\r\n[\r\n"},
    "sizes of chunks": {"at_once": STATUS + b"Transfer-Encoding: chunked\r\n\r\n", "drip": b"0"},
    "answers before the answer": {"drip": b"HTTP/1.1 100 Continue\r\n\r\n"},
    "answers before the answer, at once": {"drip": b"HTTP/1.1 103 Early Hints\r\n\r\n", "pause_s": 0.0},
}


@pytest.fixture(params=["sync", "async"])
def timed(request: pytest.FixtureRequest) -> Callable[..., tuple[Any, float]]:
    """Send a request, and return the error that it ends with and the seconds until then."""

    async def awaited(client: HttpClient, **options: Any) -> tuple[Any, float]:
        start_s = time.perf_counter()
        try:
            await client.apost("/chat", {}, **options)
        except (RemoteError, DeadlineExceededError) as error:
            return error, time.perf_counter() - start_s
        raise AssertionError

    def call(client: HttpClient, **options: Any) -> tuple[Any, float]:
        if request.param == "async":
            return asyncio.run(awaited(client, **options))
        start_s = time.perf_counter()
        with pytest.raises((RemoteError, DeadlineExceededError)) as caught:
            client.post("/chat", {}, **options)
        return caught.value, time.perf_counter() - start_s

    call.kind = request.param  # type: ignore[attr-defined]
    return call


def no_thread_stays() -> bool:
    """Return whether the threads that wait for servers end."""
    for one in threading.enumerate():
        if one.name == "remote":
            one.join(5.0)
    return not any(one.name == "remote" for one in threading.enumerate())


@pytest.mark.parametrize("answer", ANSWERS)
def test_an_answer_that_drips_ends_with_the_time(answer: str, timed: Any) -> None:
    with dripping_server(**ANSWERS[answer]) as server:
        error, seconds = timed(HttpClient(f"http://127.0.0.1:{server.port}", settings=ONCE))
        assert seconds < LIMIT_S
        assert isinstance(error, RemoteError)
        assert "did not answer within 0.5 s" in str(error)
        assert error.is_passing
        assert server.all_left(n=1)
        assert no_thread_stays()


@pytest.mark.parametrize("answer", ["status line", "headers", "body"])
def test_an_answer_that_drips_ends_with_the_deadline(answer: str, timed: Any) -> None:
    with dripping_server(**ANSWERS[answer]) as server:
        error, seconds = timed(HttpClient(f"http://127.0.0.1:{server.port}"), deadline=Deadline(0.5))
        assert seconds < LIMIT_S
        assert isinstance(error, DeadlineExceededError)
        assert server.all_left(n=1)


@pytest.fixture
def tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """What a server of this machine speaks TLS with, and clients trust."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate with")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    made = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    files = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*made.split(), *files], check=True, capture_output=True)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


@pytest.mark.parametrize("answer", ["status line", "headers", "body"])
def test_an_answer_that_drips_through_tls_ends_with_the_time(answer: str, timed: Any, tls: ssl.SSLContext) -> None:
    with dripping_server(**ANSWERS[answer], tls=tls) as server:
        settings = HttpSettings(timeout_s=1.0, retries=0)
        error, seconds = timed(HttpClient(f"https://127.0.0.1:{server.port}", settings=settings))
        assert seconds < LIMIT_S
        assert error.is_passing
        assert server.all_left(n=1)
        assert no_thread_stays()


@pytest.mark.parametrize("settings", [ONCE, HttpSettings(timeout_s=0.5, retries=0)], ids=["own limit", "total"])
def test_a_handshake_that_drips_ends_with_the_time(settings: HttpSettings, timed: Any) -> None:
    hello = b"\x16\x03\x03\x40\x00\x02"
    with dripping_server(b"\x00", at_once=hello, reads=False) as server:
        error, seconds = timed(HttpClient(f"https://127.0.0.1:{server.port}", settings=settings))
        assert seconds < LIMIT_S
        assert error.is_passing
        assert server.all_left(n=1)


def test_a_proxy_that_drips_ends_with_the_time(timed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with dripping_server(**ANSWERS["headers"]) as server:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{server.port}")
        error, seconds = timed(HttpClient("https://rerankers.example.org", settings=ONCE))
        assert seconds < LIMIT_S
        assert "did not answer within 0.5 s" in str(error)
        assert server.all_left(n=1)


def test_a_name_that_is_not_looked_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call took as long as the resolver, which no socket's time-out ends."""
    may_answer, look_up = threading.Event(), socket.getaddrinfo

    def slow(_host: Any, *args: Any, **options: Any) -> Any:
        may_answer.wait(30.0)
        return look_up("127.0.0.1", *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    with dripping_server(**ANSWERS["headers"]) as server:
        start_s = time.perf_counter()
        with pytest.raises(RemoteError, match="did not answer within"):
            HttpClient(f"http://rerankers.example.org:{server.port}", settings=ONCE).post("/chat", {})
        assert time.perf_counter() - start_s < LIMIT_S
        # The connection that is made now is one that nobody waits for.
        may_answer.set()
        assert no_thread_stays()
        assert server.all_left(n=1)


def test_redirects_take_the_time_of_the_attempt(timed: Any) -> None:
    slow = Answer({}, status=307, headers={"Location": "/chat"}, delay_s=0.4)
    with scripted_server([slow]) as server:
        error, seconds = timed(HttpClient(server.url, settings=ONCE))
        assert "did not answer within 0.5 s" in str(error)
        assert seconds < LIMIT_S
        assert len(server.requests) <= 2


def test_a_connection_that_was_cut_is_not_used_again(timed: Any) -> None:
    """The answer to the request before would be read as the next one's."""
    late, whole = Answer({"of": "the first"}, delay_s=6.0), Answer({"of": "the next"})
    with scripted_server([whole, late, whole]) as server:
        client = HttpClient(server.url, settings=HttpSettings(timeout_s=2.0, retries=0))

        async def three() -> list[Any]:
            answers = []
            for _ in range(3):
                try:
                    answers.append(await client.apost("/chat", {}))
                except RemoteError:
                    answers.append(None)
            return answers

        expected = [whole.body, None, whole.body]
        if timed.kind == "async":
            assert asyncio.run(three()) == expected
        else:
            assert client.post("/chat", {}) == whole.body
            timed(client)
            assert client.post("/chat", {}) == whole.body
        first, second, third = (request.port for request in server.requests)
        assert first == second != third


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="there are no timers of signals here")
def test_a_signal_drops_the_request() -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    with dripping_server(**ANSWERS["headers"]) as server:
        before = signal.signal(signal.SIGALRM, interrupt)
        signal.setitimer(signal.ITIMER_REAL, 1.0)
        try:
            with pytest.raises(KeyboardInterrupt):
                HttpClient(f"http://127.0.0.1:{server.port}").post("/chat", {})
        finally:
            signal.signal(signal.SIGALRM, before)
        assert server.all_left(n=1)
