"""The server's application in this process, with tiny checkpoints behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from served import Opened, client_of

from rerank_plugins.serving.app import serving_app
from rerank_plugins.serving.settings import Limits, ModelPlan, ServeSettings


@pytest.fixture
def serve_settings(checkpoints: Path) -> ServeSettings:
    return ServeSettings(
        models=(
            ModelPlan(name="ranker", model=str(checkpoints / "bert-reranker")),
            ModelPlan(name="vectors", model=str(checkpoints / "bert-embedder")),
        ),
        reranker_options={"device": "cpu"},
        embedder_options={"device": "cpu"},
    )


@pytest.fixture
def opened(serve_settings: ServeSettings) -> Opened:
    """Open a client of a server with other settings: ``async with opened(dialect="infinity") as client``."""

    @asynccontextmanager
    async def start(*, limits: dict[str, Any] | None = None, **changes: Any) -> AsyncIterator[httpx.AsyncClient]:
        app = serving_app(replace(serve_settings, limits=Limits(**(limits or {})), **changes))
        try:
            await app.load()
            async with client_of(app) as client:
                yield client
        finally:
            app.close()

    return start
