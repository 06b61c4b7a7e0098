"""A client of the server's application in this process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import httpx

from rerank_plugins.serving.app import ServingApp

Opened = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]
"""Opens a server with changed settings, and a client of it."""


@asynccontextmanager
async def client_of(app: ServingApp) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=True)
    async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
        yield client
