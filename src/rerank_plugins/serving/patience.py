"""uvicorn's protocol with limits for the time in which a request comes and an answer is taken; it has none itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import Any

from rerank_plugins.checks.optional import import_extra
from rerank_plugins.serving.settings import Limits

__all__ = ["patient_protocol"]


def patient_protocol(limits: Limits) -> Any:
    """Return the protocol; without httptools a connection must only bring its first request in time.

    Args:
        limits: ``receive_s`` counts from the connection, or the first byte of a further request, to the end of the
            headers; after an answer, from what comes of a body that nobody reads to its end. ``send_s`` counts from
            when an answer waits for its caller to when all of it is taken.
    """
    if find_spec("httptools") is None:
        return _patient_h11(limits)
    http = import_extra("uvicorn.protocols.http.httptools_impl", extra="serve")
    base: Any = _timed(http.HttpToolsProtocol, limits)

    class Patient(base):  # type: ignore[misc]
        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            # At any byte uvicorn stops its own timer, which it sets only when an answer ends.
            if _is_answered(self) and self.timeout_keep_alive_task is None and not self.transport.is_closing():
                self._coming.start()

        def on_message_begin(self) -> None:
            super().on_message_begin()
            self._coming.start()

        def on_headers_complete(self) -> None:
            self._coming.stop()
            super().on_headers_complete()

        def on_message_complete(self) -> None:
            super().on_message_complete()
            if _is_answered(self):
                self._coming.stop()
                self._unset_keepalive_if_required()
                keep_s, handler = self.timeout_keep_alive, self.timeout_keep_alive_handler
                self.timeout_keep_alive_task = self.loop.call_later(keep_s, handler)

    return Patient


def _patient_h11(limits: Limits) -> Any:
    base: Any = _timed(import_extra("uvicorn.protocols.http.h11_impl", extra="serve").H11Protocol, limits)

    class Patient(base):  # type: ignore[misc]
        def handle_events(self) -> None:
            super().handle_events()
            if self.cycle is not None:
                self._coming.stop()

    return Patient


def _timed(base: Any, limits: Limits) -> Any:
    """Return a protocol with a timer for what comes, which begins with the connection, and one for what goes.

    The second gives a caller up who does not take an answer, which would stay in memory for ever.
    """

    class Timed(base):  # type: ignore[misc]
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._coming = _Timer(self.loop, limits.receive_s, partial(_time_out, self))
            self._coming.start()
            # abort() and not close(), which would wait until all is taken.
            self._going = _Timer(self.loop, limits.send_s, transport.abort)
            # Every byte that the system's own buffers have no room for counts as waiting.
            transport.set_write_buffer_limits(0)

        def pause_writing(self) -> None:
            super().pause_writing()
            self._going.start()

        def resume_writing(self) -> None:
            self._going.stop()
            super().resume_writing()

        def connection_lost(self, exc: Exception | None) -> None:
            self._coming.stop()
            self._going.stop()
            super().connection_lost(exc)

    return Timed


class _Timer:
    """Calls a function after some time, unless it is stopped; starting it again meanwhile changes nothing."""

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float, then: Callable[[], object]) -> None:
        self._loop, self._seconds, self._then = loop, seconds, then
        self._handle: asyncio.TimerHandle | None = None

    def start(self) -> None:
        if self._handle is None:
            self._handle = self._loop.call_later(self._seconds, self._then)

    def stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None


def _is_answered(protocol: Any) -> bool:
    return protocol.cycle is not None and bool(protocol.cycle.response_complete)


def _time_out(protocol: Any) -> None:
    transport = protocol.transport
    if not transport.is_closing():
        transport.write(b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
        transport.close()
