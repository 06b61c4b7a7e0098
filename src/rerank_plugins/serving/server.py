"""Runs the application on uvicorn: port first, model then; half-sent headers end; SIGTERM drains."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from rerank_plugins.checks.optional import import_extra
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.serving.patience import patient_protocol
from rerank_plugins.serving.settings import ServeSettings

if TYPE_CHECKING:
    from rerank_plugins.serving.app import ServingApp

__all__ = ["bound_socket", "check_host", "serve"]

logger = logging.getLogger(__name__)

_BACKLOG = 2_048
_OPEN_FILES = 65_536
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


def check_host(host: str, *, settings: ServeSettings, without_keys: bool) -> None:
    """Raise InvalidInputError for an address that would let everybody in without a key, unless that was asked for."""
    if host not in _LOOPBACK and not settings.keys and not without_keys:
        msg = (
            f"--host {host} lets other machines in, and there is no API key. Pass --api-key-file, set "
            "RERANK_PLUGINS_API_KEYS, or say --no-auth if the network is trusted"
        )
        raise InvalidInputError(msg)


def bound_socket(host: str, port: int, *, settings: ServeSettings, without_keys: bool) -> socket.socket:
    """Return a socket that listens, before any model is loaded.

    Args:
        host: Address to listen on.
        port: Port; 0 takes a free one.
        settings: Whether there are keys.
        without_keys: Whether other machines may be let in without any.

    Raises:
        InvalidInputError: The address cannot be used, or would let everybody in.
    """
    check_host(host, settings=settings, without_keys=without_keys)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
        made.listen(_BACKLOG)
        made.settimeout(0)
    except (OSError, OverflowError) as error:
        made.close()
        msg = f"cannot listen on {host}:{port} ({getattr(error, 'strerror', None) or error})"
        raise InvalidInputError(msg) from error
    return made


def serve(settings: ServeSettings, listener: socket.socket) -> None:
    """Serve until SIGTERM or Ctrl-C, then finish what is under way.

    Args:
        settings: What is served, and how.
        listener: A socket of :func:`bound_socket`.

    Raises:
        MissingExtraError: uvicorn is not installed.
        RerankPluginsError: A model cannot be opened.
    """
    uvicorn = import_extra("uvicorn", extra="serve")
    import_extra("orjson", extra="serve")
    from rerank_plugins.serving.app import serving_app

    _allow_many_files()
    app = serving_app(settings)
    config = uvicorn.Config(
        app,
        http=patient_protocol(settings.limits),
        loop="none",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        backlog=_BACKLOG,
        timeout_keep_alive=round(settings.limits.keep_alive_s),
        timeout_graceful_shutdown=round(settings.limits.drain_s),
    )
    loop = _new_loop()
    try:
        loop.run_until_complete(_Life(app, _server(uvicorn, config), settings).run(listener))
    finally:
        app.close()
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


class _Life:
    """One server from its first connection to its last."""

    def __init__(self, app: ServingApp, server: Any, settings: ServeSettings) -> None:
        self._app, self._server, self._limits = app, server, settings.limits
        self._signals = 0
        self._ending: asyncio.Task[None] | None = None

    async def run(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        # Tokenising runs in the loop's executor; more threads than processors would only wait for each other.
        loop.set_default_executor(
            ThreadPoolExecutor(max_workers=max(2, os.cpu_count() or 1), thread_name_prefix="serve")
        )
        for number in (signal.SIGTERM, signal.SIGINT):
            # Windows' loop has no such handlers; there a Ctrl-C ends the program at once.
            with contextlib.suppress(NotImplementedError):
                loop.add_signal_handler(number, self._on_signal, number)
        running = asyncio.create_task(self._server.serve(sockets=[listener]))
        loading = asyncio.create_task(self._app.load())
        try:
            await asyncio.wait((running, loading), return_when=asyncio.FIRST_COMPLETED)
            if loading.done() and loading.exception() is not None:
                self._server.should_exit = True
            await running
            if loading.done():
                # An error of a model ends the program with its message.
                loading.result()
        finally:
            loading.cancel()

    def _on_signal(self, number: int) -> None:
        self._signals += 1
        self._app.drain()
        if self._signals > 1:
            self._server.force_exit = self._server.should_exit = True
            return
        logger.info("ending: no new work after %g s, at most %g s for what is under way", *self._delays(number))
        self._ending = asyncio.get_running_loop().create_task(self._end(self._delays(number)[0]))

    def _delays(self, number: int) -> tuple[float, float]:
        """Return the seconds in which work is still taken, none for a Ctrl-C, and those for the rest."""
        return (0.0 if number == signal.SIGINT else self._limits.drain_delay_s), self._limits.drain_s

    async def _end(self, delay_s: float) -> None:
        await asyncio.sleep(delay_s)
        self._server.should_exit = True


def _server(uvicorn: Any, config: Any) -> Any:
    class Server(uvicorn.Server):  # type: ignore[misc]
        """uvicorn's server with its signals left to us: it would end the process by the signal, not with 0."""

        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield

    return Server(config)


def _new_loop() -> asyncio.AbstractEventLoop:
    if find_spec("uvloop") is None:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = import_extra("uvloop", extra="serve").new_event_loop()
    return loop


def _allow_many_files() -> None:
    """Raise the soft limit of open files: each connection is one."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(_OPEN_FILES, hard)
        if soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
