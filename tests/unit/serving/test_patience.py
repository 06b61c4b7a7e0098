"""Connections of callers who neither go on nor take what they asked for."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

uvicorn = pytest.importorskip("uvicorn", reason="the extra serve is not installed")

from rerank_plugins.serving.patience import patient_protocol  # noqa: E402
from rerank_plugins.serving.settings import Limits  # noqa: E402

LIMIT_S = 0.4
LARGE = 20_000_000
KEPT_S = 1.0


async def _app(scope: Any, _receive: Any, send: Any) -> None:
    """Answer without a look at the body, as the server does where it needs none."""
    body = b"x" * (LARGE if scope["path"] == "/large" else 2)
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def _connected(**limits: Any) -> AsyncIterator[tuple[Any, socket.socket]]:
    """Give a server that runs, and a connection to it that takes little at once."""
    http = patient_protocol(Limits(**limits))
    with socket.socket() as listening, socket.socket() as caller:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        config = uvicorn.Config(
            _app, http=http, loop="none", lifespan="off", log_config=None, timeout_keep_alive=round(KEPT_S)
        )
        server = uvicorn.Server(config)
        task = asyncio.create_task(server.serve(sockets=[listening]))
        caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        caller.setblocking(False)
        await asyncio.get_running_loop().sock_connect(caller, listening.getsockname())
        try:
            await _ask(caller, b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
            yield server, caller
        finally:
            server.should_exit = server.force_exit = True
            caller.close()
            await task


async def _n_open(server: Any, *, after_s: float) -> int:
    await asyncio.sleep(after_s)
    return len(server.server_state.connections)


async def _ask(caller: socket.socket, request: bytes) -> bytes:
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(caller, request)
    found = b""
    while b"xx" not in found:
        found += await loop.sock_recv(caller, 4_096)
    return found


async def test_an_answer_that_nobody_takes_is_given_up() -> None:
    async with _connected(send_s=LIMIT_S) as (server, caller):
        assert (await _ask(caller, b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")).startswith(b"HTTP/1.1 200")
        assert await _n_open(server, after_s=0.0) == 1
        assert await _n_open(server, after_s=4 * LIMIT_S) == 0


async def test_an_answer_that_is_taken_slowly_but_in_time_is_whole() -> None:
    async with _connected(send_s=20.0) as (_, caller):
        found = len(await _ask(caller, b"GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"))
        while more := await asyncio.get_running_loop().sock_recv(caller, 1_000_000):
            found += len(more)
        assert found > LARGE


@pytest.mark.parametrize(
    ("request_", "rest"),
    [
        (b"GET /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n", b"1"),
        (b"POST /nowhere HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", b"5\r\n"),
        (b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n", b"\r\n"),
    ],
    ids=["body", "chunk", "empty line"],
)
async def test_what_comes_behind_an_answer_and_goes_no_further_ends(request_: bytes, rest: bytes) -> None:
    async with _connected(receive_s=LIMIT_S) as (server, caller):
        assert b" 200 " in await _ask(caller, request_)
        await asyncio.get_running_loop().sock_sendall(caller, rest)
        assert await _n_open(server, after_s=4 * LIMIT_S) == 0


async def test_a_body_that_nobody_reads_may_come_late_and_a_request_behind_it() -> None:
    request = b"GET /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n"
    async with _connected(receive_s=LIMIT_S) as (server, caller):
        assert b" 200 " in await _ask(caller, request)
        await asyncio.get_running_loop().sock_sendall(caller, b"123")
        # Kept for as long as any connection that rests, and then no longer.
        assert await _n_open(server, after_s=1.5 * LIMIT_S) == 1
        assert b" 200 " in await _ask(caller, request + b"123")
        assert await _n_open(server, after_s=2 * KEPT_S) == 0
