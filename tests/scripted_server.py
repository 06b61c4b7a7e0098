"""A real HTTP server on the loopback that answers what a test tells it to."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

__all__ = ["Answer", "Request", "ScriptedServer", "scripted_server"]


@dataclass(frozen=True)
class Request:
    path: str
    headers: Mapping[str, str]
    body: Any
    port: int = 0
    """The client's: one a connection."""


@dataclass(frozen=True)
class Answer:
    """One answer: ``body`` is JSON unless it is bytes; ``cut`` bytes of it are promised and not sent."""

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    cut: int = 0
    closes: bool = False
    drip_s: float = 0.0


@dataclass
class ScriptedServer:
    url: str
    requests: list[Request] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0


@contextmanager
def scripted_server(  # noqa: C901 - the handler stands inside
    script: list[Answer] | Callable[[Request], Answer],
) -> Iterator[ScriptedServer]:
    """Serve a list of answers, the last one for ever, or what a function makes of each request."""
    lock, stopped = threading.Lock(), threading.Event()
    seen = ScriptedServer("")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Request(self.path, headers, json.loads(raw or b"null"), self.client_address[1])
            with lock:
                seen.requests.append(request)
                seen.at_once += 1
                seen.most_at_once = max(seen.most_at_once, seen.at_once)
                number = len(seen.requests) - 1
            try:
                answer = script(request) if callable(script) else script[min(number, len(script) - 1)]
                self._answer(answer)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True
            finally:
                with lock:
                    seen.at_once -= 1

        def _answer(self, answer: Answer) -> None:
            stopped.wait(answer.delay_s)
            if answer.closes:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            body = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            sent = body[: len(body) - answer.cut]
            if answer.drip_s:
                for byte in sent:
                    if stopped.is_set():
                        break
                    self.wfile.write(bytes([byte]))
                    self.wfile.flush()
                    time.sleep(answer.drip_s)
            else:
                self.wfile.write(sent)
            if answer.cut:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)

        def log_message(self, *_: object) -> None:
            """Nothing on the test's screen."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    seen.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield seen
    finally:
        stopped.set()
        server.shutdown()
        server.server_close()
        thread.join()
