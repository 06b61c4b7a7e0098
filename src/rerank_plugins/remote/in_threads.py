"""Requests of threads. Each runs in a thread of its own, so that its caller can leave when the time is over.

A socket's time-out is one read's: a server that sends a byte at a time never meets it, and the search for a host's
address has none. Whoever leaves cuts the connection, which ends the thread; no other request gets it.
"""

from __future__ import annotations

import contextvars
import socket
import threading
import time
from concurrent.futures import Future
from concurrent.futures import TimeoutError as WaitedTooLong
from contextlib import suppress
from typing import Any

from rerank_plugins.checks.optional import import_extra
from rerank_plugins.errors import RemoteError
from rerank_plugins.remote.clients import new_client
from rerank_plugins.remote.replies import Reply
from rerank_plugins.remote.sending import (
    Send,
    body_reader,
    failures,
    is_connected,
    late,
    meaning_of,
    options_of,
    reply_of,
)

__all__ = ["ThreadSender"]

_MOST_IDLE, _LONGEST_IDLE_S = 20, 5.0
"""As httpx keeps connections that nobody uses."""


class ThreadSender:
    """Sends requests of any number of threads, on connections that are used again."""

    def __init__(self) -> None:
        self._lock, self._is_closed = threading.Lock(), False
        self._idle: list[tuple[_Line, float]] = []

    def send(self, send: Send) -> Reply | RemoteError:
        """Return the answer to a request, or why there is none, before its time is over.

        Raises:
            MissingExtraError: httpx is not installed.
        """
        httpx = import_extra("httpx", extra="remote")
        try:
            line = self._taken()
            reply = line.exchanged(send)
        except WaitedTooLong:
            return late(send)
        except failures(httpx) as error:
            return meaning_of(error, httpx, send)
        self._give(line)
        return reply

    def close(self) -> None:
        """Close the connections; those in use are closed when their requests have ended."""
        self._is_closed = True
        self._close_old(max_idle_s=0.0)

    def _taken(self) -> _Line:
        with self._lock:
            if self._idle:
                return self._idle.pop()[0]
        return _Line()

    def _give(self, line: _Line) -> None:
        with self._lock:
            self._idle.append((line, time.monotonic()))
        self._close_old(max_idle_s=0.0 if self._is_closed else _LONGEST_IDLE_S)

    def _close_old(self, *, max_idle_s: float) -> None:
        now_s = time.monotonic()
        with self._lock:
            # The last that was used is the first that is taken, so that the others grow old.
            kept = [(line, since_s) for line, since_s in self._idle if now_s - since_s < max_idle_s][-_MOST_IDLE:]
            closing = [line for line, _ in self._idle if line not in {one for one, _ in kept}]
            self._idle = kept
        for line in closing:
            line.close()


class _Line:
    """A client of httpx, and with it a connection, which has one request at a time.

    Raises:
        RemoteError: The environment names certificates or a proxy that cannot be used.
    """

    def __init__(self) -> None:
        self._client = new_client("Client")
        self._lock, self._is_cut, self._stream = threading.Lock(), False, None

    def exchanged(self, send: Send) -> Reply:
        """Return the answer to a request. After any error, and any signal, the line is of no more use.

        Raises:
            TimeoutError: The time is over; of ``concurrent.futures``, which is another one before Python 3.11.
            Exception: What httpx raises.
        """
        found: Future[Reply] = Future()
        # A daemon: a server that hangs must not keep the program from ending. Frameworks trace by context.
        run = contextvars.copy_context().run
        try:
            threading.Thread(target=run, args=(self._run, send, found), name="remote", daemon=True).start()
            return found.result(send.timeout_s)
        except BaseException:
            self._cut()
            raise

    def close(self) -> None:
        """Close the connection, which has no request."""
        self._client.close()

    def _run(self, send: Send, found: Future[Reply]) -> None:
        try:
            found.set_result(self._exchange(send))
        except BaseException as error:  # noqa: BLE001 - the one who waits raises it
            found.set_exception(error)

    def _exchange(self, send: Send) -> Reply:
        httpx = import_extra("httpx", extra="remote")
        with self._client.stream("POST", send.url, **options_of(send, httpx, self._note)) as response:
            body = body_reader(response, send)
            for part in response.iter_raw():
                body.add(part)
            return reply_of(response, body.whole(), send)

    def _note(self, event: str, info: dict[str, Any]) -> None:
        """Keep the stream of a new connection, which is what can be cut."""
        if not is_connected(event):
            return
        with self._lock:
            self._stream = info["return_value"]
            is_cut = self._is_cut
        if is_cut:
            self._hang_up()

    def _cut(self) -> None:
        with self._lock:
            self._is_cut = True
        self._hang_up()

    def _hang_up(self) -> None:
        """End what waits at the socket, so that the thread closes it; closing it here would wake nobody."""
        taken = None if self._stream is None else self._stream.get_extra_info("socket")
        if taken is not None:
            # Of the socket below TLS, without its farewell, for which nobody has time.
            with suppress(OSError):
                socket.socket.shutdown(taken, socket.SHUT_RDWR)
