"""A server that sends what a test tells it to, one byte after the other and for ever, and notes who hangs up."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

__all__ = ["DrippingServer", "dripping_server"]


@dataclass
class DrippingServer:
    """``left``: what tells that the client closed its connection, one for each that it made."""

    port: int
    left: list[threading.Event] = field(default_factory=list)

    def all_left(self, *, n: int, seconds: float = 5.0) -> bool:
        """Return whether there were n connections, and the client has closed them all."""
        limit_s = time.perf_counter() + seconds
        while len(self.left) < n and time.perf_counter() < limit_s:
            time.sleep(0.01)
        return len(self.left) == n and all(one.wait(seconds) for one in self.left)


@contextmanager
def dripping_server(  # noqa: C901 - its threads stand inside
    drip: bytes,
    *,
    at_once: bytes = b"",
    pause_s: float = 0.03,
    reads: bool = True,
    tls: ssl.SSLContext | None = None,
) -> Iterator[DrippingServer]:
    """Answer each request with some bytes at once, and then with others, one by one and from the start again.

    Args:
        drip: What is repeated.
        at_once: What comes first.
        pause_s: Seconds before each byte.
        reads: Whether the request is read first; in a TLS handshake there is none.
        tls: Speaks TLS with this context; None speaks plainly.
    """
    stopped, listener = threading.Event(), socket.create_server(("127.0.0.1", 0))
    seen = DrippingServer(listener.getsockname()[1])

    def answer(connection: socket.socket, left: threading.Event) -> None:
        with connection:
            try:
                if tls is not None:
                    connection = tls.wrap_socket(connection, server_side=True)
                if reads:
                    connection.recv(65536)
                connection.sendall(at_once)
                while not stopped.is_set():
                    for place in range(len(drip)):
                        if stopped.wait(pause_s):
                            return
                        connection.sendall(drip[place : place + 1])
            except OSError:
                left.set()

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            seen.left.append(threading.Event())
            threading.Thread(target=answer, args=(connection, seen.left[-1]), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield seen
    finally:
        stopped.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
