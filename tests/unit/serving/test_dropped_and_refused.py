"""Work that nobody waits for is dropped, and work beyond the limit is refused."""

from __future__ import annotations

import asyncio
import json

from served import Opened, client_of

from rerank_plugins.serving.app import serving_app
from rerank_plugins.serving.settings import ServeSettings

BODY = {"model": "ranker", "query": "which animal eats bamboo", "documents": ["the panda", "a train"]}


async def test_a_caller_who_hangs_up_costs_no_more(serve_settings: ServeSettings) -> None:
    app = serving_app(serve_settings)
    await app.load()
    handle = app._store.reranker(None).handle
    before = handle.stats()
    body = json.dumps(BODY | {"documents": [f"the panda {number} eats bamboo " * 60 for number in range(900)]}).encode()
    messages = [{"type": "http.request", "body": body, "more_body": False}]
    sent: list[object] = []

    async def receive():
        if messages:
            return messages.pop()
        while handle.stats().batches == before.batches:  # noqa: ASYNC110 - not before the model works on it
            await asyncio.sleep(0.001)
        return {"type": "http.disconnect"}

    async def send(message: object) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/v1/rerank", "headers": []}
    try:
        await app(scope, receive, send)
        async with client_of(app) as client:
            assert (await client.post("/v1/rerank", json=BODY)).status_code == 200
        after = handle.stats()
    finally:
        app.close()
    assert sent == []
    assert after.inputs_dropped - before.inputs_dropped > 100
    assert after.calls_cancelled - before.calls_cancelled == 1


async def test_overload_is_refused_at_once_and_the_rest_is_right(opened: Opened) -> None:
    body = BODY | {"documents": ["the panda eats bamboo " * 40] * 20}
    async with opened(limits={"max_waiting_tokens": 9_000}) as client:
        usual = (await client.post("/v1/rerank", json=body)).json()["results"]
        answers = await asyncio.gather(*(client.post("/v1/rerank", json=body) for _ in range(20)))
    taken = [one for one in answers if one.status_code == 200]
    refused = [one for one in answers if one.status_code == 429]
    assert len(taken) + len(refused) == len(answers)
    assert taken
    assert refused
    assert all(int(one.headers["retry-after"]) >= 1 for one in refused)
    assert all([r["index"] for r in one.json()["results"]] == [r["index"] for r in usual] for one in taken)
