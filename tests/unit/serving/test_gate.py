"""Keys, limits, probes, logs: what stands in front of every request."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from served import Opened, client_of

from rerank_plugins.errors import InvalidInputError
from rerank_plugins.serving.app import serving_app
from rerank_plugins.serving.guard import OPEN_PATHS
from rerank_plugins.serving.routing import PATHS
from rerank_plugins.serving.server import bound_socket
from rerank_plugins.serving.settings import KEYS_VARIABLE, ApiKeys, Limits, ServeSettings

BODY = {"model": "ranker", "query": "which animal eats bamboo", "documents": ["the panda", "a train"]}
KEY = "canary-5f1c"
GET_PATHS = ["/", "/info", "/metrics", "/models", "/v1/models", "/v1/models/ranker", "/nowhere"]


async def test_no_path_but_the_probes_opens_without_a_key(opened: Opened) -> None:
    async with opened(keys=ApiKeys([KEY])) as client:
        for path in PATHS:
            assert (await client.post(path, json=BODY)).status_code == 401, path
            assert (await client.post(f"{path.rstrip('/')}/", json=BODY)).status_code == 401, path
        for path in GET_PATHS:
            response = await client.get(path)
            assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer"), path
        for path in OPEN_PATHS:
            assert (await client.get(path)).status_code == 200, path


@pytest.mark.parametrize(
    ("header", "value", "status"),
    [
        ("authorization", f"Bearer {KEY}", 200),
        ("authorization", f"bearer {KEY}", 200),
        ("authorization", KEY, 200),
        ("x-api-key", "second", 200),
        ("authorization", f"Bearer {KEY}x", 401),
        ("authorization", "Bearer ", 401),
        ("authorization", "Basic abc", 401),
        ("x-api-key", "", 401),
    ],
)
async def test_keys_are_taken_as_clients_send_them(opened: Opened, header: str, value: str, status: int) -> None:
    async with opened(keys=ApiKeys([KEY, "second"])) as client:
        assert (await client.post("/v1/rerank", json=BODY, headers={header: value})).status_code == status


async def test_metrics_may_be_open_and_xinference_is_told_that_a_key_is_needed(opened: Opened) -> None:
    async with opened(keys=ApiKeys([KEY]), open_metrics=True) as client:
        assert (await client.get("/metrics")).status_code == 200
        auth = await client.get("/v1/cluster/auth")
        refused = await client.post("/v1/embeddings", json={})
    assert auth.json() == {"auth": True}
    assert refused.json()["error"]["code"] == "invalid_api_key"


def test_keys_come_from_a_file_and_the_environment_and_are_nowhere_shown(tmp_path, monkeypatch) -> None:
    file = tmp_path / "keys"
    file.write_text(f"{KEY}\n\n other \n")
    monkeypatch.setenv(KEYS_VARIABLE, "third,fourth")
    keys = ApiKeys.read(file)
    assert [keys.opens(one) for one in (KEY, "other", "third", "fourth", "", "\n")] == [True] * 4 + [False] * 2
    assert KEY not in repr(keys) + repr(vars(keys))
    # As editors of Windows write it.
    file.write_bytes(b"\xef\xbb\xbf" + KEY.encode() + b"\r\n")
    assert ApiKeys.read(file).opens(KEY)
    file.write_text("\n")
    with pytest.raises(InvalidInputError, match="holds no key"):
        ApiKeys.read(file)
    with pytest.raises(InvalidInputError, match="cannot be read"):
        ApiKeys.read(tmp_path / "none")


def test_other_machines_need_a_key(serve_settings: ServeSettings) -> None:
    with pytest.raises(InvalidInputError, match="--api-key-file"):
        bound_socket("0.0.0.0", 0, settings=serve_settings, without_keys=False)
    for settings, host, without in (
        (serve_settings, "127.0.0.1", False),
        (serve_settings, "0.0.0.0", True),
        (replace(serve_settings, keys=ApiKeys([KEY])), "0.0.0.0", False),
    ):
        bound_socket(host, 0, settings=settings, without_keys=without).close()


async def test_probes_say_loading_ready_draining(serve_settings: ServeSettings) -> None:
    app = serving_app(serve_settings)
    try:
        async with client_of(app) as client:
            assert (await client.get("/livez")).status_code == 200
            loading = await client.get("/readyz")
            early = await client.post("/v1/rerank", json=BODY)
            await app.load()
            ready = await client.get("/readyz")
            app.drain()
            draining = await client.get("/readyz")
            late = await client.post("/v1/rerank", json=BODY)
    finally:
        app.close()
    assert (loading.status_code, loading.json()) == (503, {"status": "loading"})
    assert (early.status_code, early.headers["retry-after"]) == (503, "5")
    assert (ready.status_code, ready.json()) == (200, {"status": "ready"})
    assert (draining.status_code, draining.json()) == (503, {"status": "draining"})
    assert (late.status_code, late.headers["connection"]) == (200, "close")


async def test_a_body_over_the_limit_is_413_in_the_dialects_words(opened: Opened) -> None:
    async def chunks():
        for _ in range(100):
            yield b" " * 1_000

    async with opened(limits={"max_body_bytes": 5_000}) as client:
        known = await client.post("/v2/rerank", content=b" " * 100_000)
        chunked = await client.post("/v1/embeddings", content=chunks())
        fits = await client.post("/v1/rerank", content=json.dumps(BODY).encode() + b" " * 4_000)
    assert (known.status_code, list(known.json())) == (413, ["id", "message"])
    assert (chunked.status_code, chunked.json()["error"]["code"]) == (413, 413)
    assert fits.status_code == 200


async def test_a_slow_body_is_408(opened: Opened) -> None:
    async def slow():
        yield b"{"
        await asyncio.sleep(60)

    async with opened(limits={"receive_s": 0.2}) as client:
        response = await client.post("/v1/rerank", content=slow())
    assert (response.status_code, response.headers["connection"]) == (408, "close")


async def test_bodies_together_are_limited_too(opened: Opened) -> None:
    content, is_held, others_are_done = json.dumps(BODY).encode(), asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield content[:60]
        is_held.set()
        await others_are_done.wait()
        yield content[60:]

    async with opened(limits={"max_held_bytes": 90}) as client:
        # The largest body that is allowed is taken where no other is in memory.
        assert len(content) > 90
        assert (await client.post("/v1/rerank", content=content)).status_code == 200
        first = asyncio.ensure_future(client.post("/v1/rerank", content=slow()))
        await is_held.wait()
        response = await client.post("/v1/rerank", content=content)
        assert (response.status_code, response.headers["retry-after"]) == (429, "1")
        assert (await client.post("/rerank", content=b'{"query":"q","texts":["d"]}')).status_code == 200
        others_are_done.set()
        assert (await first).status_code == 200


async def test_commas_in_texts_are_no_members(opened: Opened) -> None:
    table = '1,2,"3,\\",4\\\\,' * 260_000
    async with opened(limits={"max_body_bytes": 50_000_000}) as client:
        taken = await client.post("/v1/rerank", json=BODY | {"documents": [table, "panda"], "max_tokens_per_doc": 9})
        refused = await client.post("/v1/rerank", json=BODY | {"documents": [1] * 1_000_100})
    assert json.dumps(table).count(",") > 1_000_000
    assert (taken.status_code, refused.status_code) == (200, 413)


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [("GET", "/v1/rerank", "POST"), ("POST", "/readyz", "GET, HEAD"), ("PUT", "/", "GET, HEAD, POST")],
)
async def test_another_method_is_told_which_are_taken(opened: Opened, method: str, path: str, allow: str) -> None:
    async with opened() as client:
        answer = await client.request(method, path)
    assert (answer.status_code, answer.headers["allow"]) == (405, allow)
    assert answer.json()["detail"] == f"this path takes {allow.replace(', ', ' and ')}"


@pytest.mark.parametrize(
    "origin",
    ["*", "app.example", "https://app.example/", "https://App.example", "https://*.example", "https://app.example:443",
     "https://app.example:x", "https://me@app.example", ""],
)  # fmt: skip
def test_what_no_browser_sends_as_an_origin_is_refused(serve_settings: ServeSettings, origin: str) -> None:
    with pytest.raises(InvalidInputError, match="no origin as browsers send it"):
        replace(serve_settings, cors_origins=(origin,))


@pytest.mark.parametrize("origin", ["https://app.example", "http://[::1]:8080", "chrome-extension://abc", "null"])
def test_origins_that_browsers_send(serve_settings: ServeSettings, origin: str) -> None:
    assert replace(serve_settings, cors_origins=(origin,)).cors_origins == (origin,)


@pytest.mark.parametrize("seconds", [-1.0, float("nan"), float("inf")])
def test_a_drain_that_would_not_end_is_refused(seconds: float) -> None:
    with pytest.raises(InvalidInputError, match="drain_delay_s"):
        Limits(drain_delay_s=seconds)


async def test_a_compressed_body_is_refused(opened: Opened) -> None:
    async with opened() as client:
        response = await client.post("/rerank", content=b"abc", headers={"content-encoding": "gzip"})
    assert response.status_code == 415


async def test_too_many_documents_are_refused_with_teis_words(opened: Opened) -> None:
    async with opened(limits={"max_documents": 2}) as client:
        tei = await client.post("/rerank", json={"query": "q", "texts": ["a", "b", "c"]})
        cohere = await client.post("/v2/rerank", json=BODY | {"documents": ["a", "b", "c"]})
        none = await client.post("/rerank", json={"query": "q", "texts": []})
    assert (tei.status_code, tei.json()["error"]) == (422, "batch size 3 > maximum allowed batch size 2")
    assert tei.json()["error_type"] == "Validation"
    assert cohere.status_code == 400
    assert (none.status_code, none.json()["error_type"]) == (400, "Empty")


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/rerank", {"query": "q", "texts": []}, "texts"),
        ("/rerank", {"query": "q", "passages": []}, "passages"),
        ("/v1/rerank", {"query": "q", "documents": []}, "documents"),
        ("/v1/ranking", {"query": {"text": "q"}, "passages": []}, "passages"),
        ("/score", {"text_1": "q", "text_2": []}, "text_2"),
        ("/v1/embeddings", {"input": []}, "input"),
        ("/embed", {"inputs": []}, "inputs"),
        ("/similarity", {"inputs": {"source_sentence": "a", "sentences": []}}, "inputs.sentences"),
        ("/v2/embed", {"model": "vectors", "input_type": "search_query", "inputs": []}, "inputs"),
    ],
)
async def test_an_empty_list_is_called_by_its_own_name(
    opened: Opened, path: str, body: dict[str, Any], field: str
) -> None:
    async with opened() as client:
        answer = await client.post(path, json=body)
    assert answer.status_code in (400, 422)
    assert f"{field} is empty; give at least one" in answer.text


async def test_the_callers_deadline_counts(opened: Opened) -> None:
    async with opened() as client:
        body = BODY | {"documents": ["the panda eats bamboo " * 100] * 200}
        late = await client.post("/v1/rerank", json=body, headers={"x-request-timeout-ms": "1"})
        wrong = await client.post("/v1/rerank", json=BODY, headers={"x-request-timeout-ms": "soon"})
        fine = await client.post("/v1/rerank", json=BODY, headers={"x-request-timeout-ms": "60000"})
    assert (late.status_code, wrong.status_code, fine.status_code) == (504, 422, 200)


async def test_a_slash_at_the_end_needs_no_redirect_and_other_paths_say_so(opened: Opened) -> None:
    async with opened() as client:
        assert (await client.post("/v1/rerank/", json=BODY)).status_code == 200
        assert (await client.get("/v1/rerank")).status_code == 405
        assert (await client.post("/livez")).status_code == 405
        nowhere = await client.post("/v1/chat/completions", json={})
    assert nowhere.status_code == 404
    assert {"error", "detail", "message"} <= set(nowhere.json())


async def test_pages_of_other_origins_are_let_in_only_when_told(opened: Opened) -> None:
    origin = {"origin": "https://app.example"}
    async with opened() as client:
        closed = await client.post("/v1/rerank", json=BODY, headers=origin)
        assert (await client.options("/v1/rerank", headers=origin)).status_code == 405
    async with opened(cors_origins=("https://app.example",)) as client:
        allowed = await client.post("/v1/rerank", json=BODY, headers=origin)
        preflight = await client.options("/v1/rerank", headers=origin)
        other = await client.post("/v1/rerank", json=BODY, headers={"origin": "https://evil.example"})
    assert "access-control-allow-origin" not in closed.headers
    assert "access-control-allow-origin" not in other.headers
    assert allowed.headers["access-control-allow-origin"] == "https://app.example"
    assert preflight.status_code == 204


async def test_the_log_holds_numbers_and_no_text(opened: Opened, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with opened(keys=ApiKeys([KEY])) as client:
        headers = {"authorization": f"Bearer {KEY}", "x-request-id": "id-1; '"}
        await client.post("/v1/rerank?secret=1", json=BODY, headers=headers)
        await client.post("/v1/rerank", json=BODY | {"top_n": "which animal"}, headers=headers)
        await client.post("/v1/rerank", content=b'{"query": "which animal', headers=headers)
        metrics = (await client.get("/metrics", headers=headers)).text
    lines = [record.getMessage() for record in caplog.records if record.name == "rerank_plugins.serving.access"]
    assert re.fullmatch(r"POST /v1/rerank 200 [\d.]+ ms, \d+ bytes, 2 texts, jina, id id-1", lines[0])
    own = [record.getMessage() for record in caplog.records if record.name != "httpx"]
    everything = "".join(own) + metrics
    assert not [word for word in ("animal", "panda", KEY, "secret") if word in everything]


async def test_metrics_count_what_was_answered(opened: Opened) -> None:
    async with opened() as client:
        await client.post("/v1/rerank", json=BODY)
        await client.post("/v1/rerank", json={})
        await client.post("/attack/" + "x" * 50)
        page = (await client.get("/metrics")).text
    assert 'rerank_http_requests_total{dialect="jina",route="/v1/rerank",status="200"} 1.0' in page
    assert 'rerank_http_requests_total{dialect="jina",route="/v1/rerank",status="422"} 1.0' in page
    assert 'rerank_http_requests_total{dialect="unknown",route="other",status="404"} 1.0' in page
    assert 'rerank_refused_total{reason="invalid"} 1.0' in page
    assert 'rerank_documents_per_request_sum{route="/v1/rerank"} 2.0' in page
    # The two calls of the warm-up are counted too.
    assert 'rerank_call_stage_seconds_count{operation="rerank",stage="forward"} 3.0' in page
    assert "rerank_waiting_tokens{" in page


async def test_spans_continue_the_callers_trace(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    from rerank_plugins.serving import app as app_module
    from rerank_plugins.serving.tracing import RequestSpans

    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(app_module, "RequestSpans", lambda: RequestSpans(provider))
    trace = "0af7651916cd43dd8448eb211c80319c"
    async with opened(trace=True) as client:
        exporter.clear()  # The warm-up has a trace of its own.
        await client.post("/v1/rerank", json=BODY, headers={"traceparent": f"00-{trace}-b7ad6b7169203331-01"})
    spans = {span.name: span for span in exporter.get_finished_spans()}
    server = spans["POST /v1/rerank"]
    assert {f"{span.context.trace_id:032x}" for span in spans.values()} == {trace}
    assert spans["rerank"].parent.span_id == server.context.span_id
    assert server.attributes["http.response.status_code"] == 200
    assert "panda" not in str([dict(span.attributes) for span in spans.values()])


async def test_errors_of_the_server_are_answered_and_logged(
    opened: Opened, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from rerank_plugins.serving import running

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(running, "pair_tokens", broken)
    async with opened() as client:
        response: httpx.Response = await client.post("/rerank", json={"query": "q", "texts": ["d"]})
    assert (response.status_code, response.json()["error_type"]) == (424, "Backend")
    assert "ZeroDivisionError" in caplog.text
