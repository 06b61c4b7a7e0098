"""What is no checkpoint of this machine is served like one: a cascade, a backend of one's own, another server."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from served import Opened

pytest.importorskip("uvicorn", reason="the extra serve is not installed")

from llm_checkpoints import llm_checkpoint
from loopback_server import loopback_server

from rerank_plugins import EngineOptions, InvalidInputError, LayerOptions, Reranker, SourceOptions
from rerank_plugins.backends import named
from rerank_plugins.errors import RemoteError
from rerank_plugins.serving.refusals import STATUSES, refusal_of
from rerank_plugins.serving.settings import ModelPlan

QUERY = "which animal eats bamboo"
TEXTS = ["the panda eats bamboo", "", "a train leaves at noon", "bamboo grows fast"]
BODY = {"model": "m", "query": QUERY, "documents": TEXTS}
# What the command line adds of its own accord.
ENGINE = EngineOptions(max_waiting_tokens=400_000)
NO_OPTIONS: dict[str, Any] = {"reranker_options": {}, "embedder_options": {}}


@pytest.fixture(scope="module")
def address(checkpoints: Path) -> Iterator[str]:
    with loopback_server(checkpoints) as found:
        yield found


def plan(model: str) -> dict[str, Any]:
    return {"models": (ModelPlan(name="m", model=model),), "engine": ENGINE, **NO_OPTIONS}


async def test_a_cascade(opened: Opened) -> None:
    name = "cascade:bm25@50,bm25@2"
    with Reranker(name) as reranker:
        expected = reranker.rank(QUERY, TEXTS)
    async with opened(**plan(name)) as client:
        answer = await client.post("/v1/rerank", json=BODY)
        models = (await client.get("/v1/models")).json()["data"]
        vectors = await client.post("/v1/embeddings", json={"model": "m", "input": "a"})
    found = [(one["index"], one["relevance_score"]) for one in answer.json()["results"]]
    assert found == [(one.index, pytest.approx(one.probability)) for one in expected]
    assert models[0]["kinds"] == ["reranker"]
    # No limit of tokens is known of it.
    assert "max_length" not in models[0]
    assert vectors.status_code == 404


async def test_a_precision_is_the_rerankers_where_the_embedder_is_a_table(opened: Opened) -> None:
    """``serve mini --dtype int8`` ended: its table of vectors refused the precision."""
    pytest.importorskip("rerank_plugins_mini")
    options = {"device": "cpu", "dtype": "int8"}
    models = (ModelPlan(name="m", model="mini"),)
    async with opened(models=models, reranker_options=options, embedder_options=options) as client:
        answer = await client.post("/v1/rerank", json=BODY)
        vectors = await client.post("/v1/embeddings", json={"model": "m", "input": "a"})
    with Reranker("mini", device="cpu", dtype="int8") as reranker:
        best = reranker.rank(QUERY, TEXTS)[0]
    assert answer.json()["results"][0]["relevance_score"] == pytest.approx(best.probability)
    assert vectors.status_code == 200


async def test_a_caller_who_gives_up_leaves_the_load_to_the_next(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(named, "_OPENERS", dict(named._OPENERS))
    goes_on, opens = threading.Event(), named.opener_of("bm25", kind="reranker")
    assert opens is not None

    def opens_slowly(_: str) -> Any:
        goes_on.wait(60)
        return opens()

    named.register_backend("test-opens-slowly", opens_slowly)
    async with opened(on_demand=True, **plan("test-opens-slowly")) as client:
        first = await client.post("/v1/rerank", json=BODY, headers={"x-request-timeout-ms": "500"})
        state = (await client.get("/v1/models/m")).json()["state"]
        goes_on.set()
        assert (await client.post("/v1/rerank", json=BODY)).status_code == 200
    assert (first.status_code, state) == (504, "loading")


async def test_options_of_the_engine_that_were_asked_for_are_refused(opened: Opened) -> None:
    settings = {**plan("bm25"), "engine": EngineOptions(max_batch_tokens=4_096, max_waiting_tokens=400_000)}
    with pytest.raises(InvalidInputError, match="max_batch_tokens=4096: only models that run on this machine"):
        async with opened(**settings):
            raise AssertionError


async def test_beside_a_model_of_this_machine_options_are_for_that_one(opened: Opened, checkpoints: Path) -> None:
    models = (ModelPlan(name="m", model="bm25"), ModelPlan(name="ranker", model=str(checkpoints / "bert-reranker")))
    engine = EngineOptions(max_batch_tokens=4_096, max_waiting_tokens=400_000)
    options = {"device": "cpu", "dtype": "float32", "source": SourceOptions(local_files_only=True)}
    async with opened(models=models, engine=engine, reranker_options=options) as client:
        answers = [await client.post("/v1/rerank", json={**BODY, "model": name}) for name in ("m", "ranker")]
    assert [answer.status_code for answer in answers] == [200, 200]
    gemma = ModelPlan(name="llm", model=str(llm_checkpoint("tiny-gemma2-lightweight")))
    options = {"device": "cpu", "prompt": "Is this about animals?"}
    layers = LayerOptions(cutoff_layers=(5,))
    async with opened(models=(models[0], gemma), engine=ENGINE, layers=layers, reranker_options=options) as client:
        answers = [await client.post("/v1/rerank", json={**BODY, "model": name}) for name in ("m", "llm")]
    assert [answer.status_code for answer in answers] == [200, 200]


@pytest.mark.parametrize("service", ["rerank-plugins", "tei"])
async def test_a_server_in_front_of_another(opened: Opened, address: str, checkpoints: Path, service: str) -> None:
    with Reranker(checkpoints / "bert-reranker", device="cpu") as reranker:
        expected = reranker.rank(QUERY, TEXTS)
    async with opened(**plan(f"{service}:{address}#ranker")) as client:
        answers = [await client.post(path, json=BODY) for path in ("/v1/rerank", "/v2/rerank")]
    for answer in answers:
        found = [(one["index"], one["relevance_score"]) for one in answer.json()["results"]]
        assert found == [(one.index, pytest.approx(one.probability, abs=1e-5)) for one in expected]


async def test_a_service_that_has_no_such_model_is_told_apart_from_a_fault_of_this_server(
    opened: Opened, address: str, caplog: pytest.LogCaptureFixture
) -> None:
    # Whether a service's model ranks or embeds shows when it is asked: the server starts, and asks nothing before.
    async with opened(**plan(f"rerank-plugins:{address}#vectors")) as client:
        ranking = await client.post("/v1/rerank", json=BODY)
        tei = await client.post("/rerank", json={"query": QUERY, "texts": TEXTS})
        vectors = await client.post("/v1/embeddings", json={"model": "m", "input": ["a", "b"]})
    assert (ranking.status_code, tei.status_code, vectors.status_code) == (502, 502, 200)
    assert "answered with HTTP 404" in ranking.json()["detail"]
    assert tei.json()["error_type"] == "Backend"
    assert [len(one["embedding"]) for one in vectors.json()["data"]] == [32, 32]
    assert "Traceback" not in caplog.text


class _HangsUp(socketserver.BaseRequestHandler):
    """A service that closes each connection, and counts them."""

    def handle(self) -> None:
        self.server.callers.append(self.client_address)  # type: ignore[attr-defined]


@pytest.fixture
def service() -> Iterator[tuple[str, list[Any]]]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _HangsUp) as server:
        server.callers = []  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"tei:http://127.0.0.1:{server.server_address[1]}", server.callers  # type: ignore[attr-defined]
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    "name", ["{}", "cascade:bm25,{}@2", "ensemble:bm25,(cascade:bm25,{}@5)", "cosine:{}", "cascade:FILE"]
)
async def test_nothing_is_asked_of_a_service_before_a_caller_does(
    opened: Opened, service: tuple[str, list[Any]], tmp_path: Path, name: str
) -> None:
    asked, callers = service
    if name.endswith("FILE"):
        file = tmp_path / "stages.json"
        file.write_text(json.dumps({"stages": [{"model": "bm25"}, {"model": asked, "depth": 2}]}))
        name = f"cascade:{file}"
    async with opened(**plan(name.replace("{}", asked))) as client:
        assert (await client.get("/readyz")).status_code == 200
        assert not callers
        await client.post("/v1/rerank", json=BODY)
        assert callers


async def test_a_service_that_is_not_there_is_told_with_a_time_to_come_again(opened: Opened) -> None:
    # Nobody listens there.
    async with opened(**plan("tei:http://127.0.0.1:9#x")) as client:
        answer = await client.post("/v1/rerank", json=BODY)
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) >= 1


@pytest.mark.parametrize(
    ("error", "status", "retry_after_s"),
    [
        (RemoteError("the text 'secret'", status=429, is_passing=True, retry_after_s=7.2), 429, 8),
        (RemoteError("the text 'secret'", status=503, is_passing=True), 503, 5),
        (RemoteError("the text 'secret'", is_reached=False), 503, 5),
        (RemoteError("the text 'secret'", status=401), 502, None),
    ],
)
def test_what_a_service_says_is_not_passed_on(error: RemoteError, status: int, retry_after_s: int | None) -> None:
    refusal = refusal_of(error)
    assert (STATUSES[refusal.kind], refusal.retry_after_s) == (status, retry_after_s)
    assert "secret" not in refusal.message


async def test_spans_of_a_model_without_a_tokenizer_are_places_in_the_whole_document(opened: Opened) -> None:
    text = "the  panda\n\n eats   bamboo.\tbamboo grows fast. a train leaves"
    body = BODY | {"documents": [text], "max_tokens_per_doc": 7, "relevant_spans": {"mode": "enabled", "threshold": 0}}
    async with opened(**plan("bm25")) as client:
        spans = (await client.post("/v2/rerank", json=body)).json()["results"][0]["relevant_spans"]
    found = {text[one["start"] : one["end"]] for one in spans}
    assert found == {"the  panda", "eats   bamboo.", "bamboo grows fast."}
