"""This package's server on the loopback, in a thread of the test, with tiny checkpoints behind it."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from rerank_plugins.serving.app import serving_app
from rerank_plugins.serving.settings import ApiKeys, DialectName, Limits, ModelPlan, ServeSettings

__all__ = ["loopback_server"]


@contextmanager
def loopback_server(
    checkpoints: Path,
    *,
    keys: tuple[str, ...] = (),
    dialect: DialectName = "vllm",
    max_documents: int = 1_000,
) -> Iterator[str]:
    """Serve ``ranker`` and ``vectors``, and give the address."""
    settings = ServeSettings(
        models=(
            ModelPlan(name="ranker", model=str(checkpoints / "bert-reranker")),
            ModelPlan(name="vectors", model=str(checkpoints / "bert-embedder")),
        ),
        reranker_options={"device": "cpu"},
        embedder_options={"device": "cpu"},
        keys=ApiKeys(keys),
        dialect=dialect,
        limits=Limits(max_documents=max_documents, max_waiting_tokens=50_000_000),
    )
    app, listening = serving_app(settings), socket.socket()
    listening.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_config=None, access_log=False))
    ready = threading.Event()

    async def serve() -> None:
        await app.load()
        ready.set()
        await server.serve(sockets=[listening])

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    try:
        assert ready.wait(120)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(30)
        app.close()
        listening.close()
