"""Requests of tasks, on the event loop that they run on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
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

__all__ = ["TaskSender"]


class TaskSender:
    """Sends requests of tasks on any number of event loops, each with connections of its own."""

    def __init__(self) -> None:
        self._of_loops: dict[Any, tuple[Any, AsyncGenerator[Any, None]]] = {}

    async def send(self, send: Send) -> Reply | RemoteError:
        """Return the answer to a request, or why there is none, before its time is over.

        Raises:
            MissingExtraError: httpx is not installed.
        """
        httpx = import_extra("httpx", extra="remote")
        try:
            return await asyncio.wait_for(self._exchanged(httpx, send), send.timeout_s)
        except asyncio.TimeoutError:
            return late(send)
        except failures(httpx) as error:
            return meaning_of(error, httpx, send)

    async def _exchanged(self, httpx: Any, send: Send) -> Reply:
        made: list[Any] = []

        async def note(event: str, info: dict[str, Any]) -> None:
            if is_connected(event):
                made.append(info["return_value"])

        client = await self._client_of_loop()
        try:
            async with client.stream("POST", send.url, **options_of(send, httpx, note)) as response:
                body = body_reader(response, send)
                async for part in response.aiter_raw():
                    body.add(part)
                return reply_of(response, body.whole(), send)
        except BaseException:
            # httpcore leaves a connection open that is given up in its handshake.
            for stream in made:
                await stream.aclose()
            raise

    async def _client_of_loop(self) -> Any:
        """Return the client of the running event loop, which is closed when the loop ends."""
        loop = asyncio.get_running_loop()
        if loop not in self._of_loops:
            for one in [one for one in list(self._of_loops) if one.is_closed()]:
                self._of_loops.pop(one, None)
            # Entering a client waits for nothing, so that no other task comes between. asyncio.run closes the
            # generators that its loop has seen: the one moment when a client can be closed.
            keeper = _kept()
            self._of_loops[loop] = (await keeper.__anext__(), keeper)
        return self._of_loops[loop][0]


async def _kept() -> AsyncGenerator[Any, None]:
    async with new_client("AsyncClient") as client:
        yield client
