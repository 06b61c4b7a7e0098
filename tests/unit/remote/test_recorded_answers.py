"""Requests and answers of the services as they were recorded, independently of this package's own server."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scripted_server import Answer, scripted_server

from rerank_plugins.backends.protocol import ScoreOptions
from rerank_plugins.backends.remote import RemoteScorer
from rerank_plugins.backends.remote_embedder import RemoteEmbedder
from rerank_plugins.backends.vectors import EmbedOptions
from rerank_plugins.remote import RemotePrice
from rerank_plugins.remote.dialects import EMBEDDERS, RERANKERS

RECORDED = json.loads((Path(__file__).parent / "recorded_answers.json").read_text(encoding="utf-8"))
PRICE = RemotePrice(per_million_tokens=1e5, per_thousand_searches=2e3)


def asked(case: Any, url: str, *, is_async: bool) -> Any:
    if case["kind"] == "reranker":
        scorer, pairs = RemoteScorer(case["service"], "m", base_url=url, price=PRICE), [("q", "a"), ("q", "b")]
        options = ScoreOptions()
        return asyncio.run(scorer.ascore(pairs, options)) if is_async else scorer.score(pairs, options)
    embedder, wanted = RemoteEmbedder(case["service"], "m", base_url=url, price=PRICE), EmbedOptions(is_query=False)
    return asyncio.run(embedder.aembed(["a", "b"], wanted)) if is_async else embedder.embed(["a", "b"], wanted)


@pytest.mark.parametrize("case", RECORDED, ids=lambda case: f"{case['service']}-{case['kind']}")
@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_what_is_sent_and_what_is_read(case: Any, is_async: bool) -> None:
    with scripted_server([Answer(case["answer"])]) as server:
        found = asked(case, server.url + "/prefix", is_async=is_async)
        (request,) = server.requests
    assert (request.path, request.body) == ("/prefix" + case["path"], case["request"])
    expected = np.array(case["rows"], dtype=found.rows.dtype)
    assert np.array_equal(found.rows, expected.reshape(found.rows.shape))
    usage = found.usage.remote
    assert (usage.requests, usage.tokens, usage.searches) == (1, case["tokens"], case["searches"])
    assert usage.cost == pytest.approx(case["tokens"] / 10 + case["searches"] * 2)


@pytest.mark.parametrize(
    ("service", "prompt", "place"),
    [
        ("vllm", "find answers", lambda body: body["instruction"]),
        ("siliconflow", "find answers", lambda body: body["instruction"]),
        ("dashscope", "find answers", lambda body: body["parameters"]["instruct"]),
    ],
)
def test_an_instruction_goes_where_the_service_has_a_place_for_it(service: str, prompt: str, place: Any) -> None:
    case = next(one for one in RECORDED if (one["service"], one["kind"]) == (service, "reranker"))
    with scripted_server([Answer(case["answer"])]) as server:
        scorer = RemoteScorer(service, "m", base_url=server.url, prompt=prompt)
        scorer.score([("q", "a"), ("q", "b")], ScoreOptions())
        assert place(server.requests[0].body) == prompt
    assert scorer.spec.revision != RemoteScorer(service, "m", base_url=server.url).spec.revision


@pytest.mark.parametrize(
    ("service", "key", "query", "document"),
    [
        ("cohere", "input_type", "search_query", "search_document"),
        ("jina", "task", "retrieval.query", "retrieval.passage"),
        ("voyage", "input_type", "query", "document"),
        ("rerank-plugins", "input_type", "query", "document"),
    ],
)
def test_queries_are_told_from_documents(service: str, key: str, query: str, document: str) -> None:
    case = next(one for one in RECORDED if one["kind"] == "embedder" and one["service"] in (service, "openai"))
    with scripted_server([Answer(case["answer"])]) as server:
        embedder = RemoteEmbedder(service, "m", base_url=server.url)
        for is_query in (True, False):
            embedder.embed(["a", "b"], EmbedOptions(is_query=is_query))
        assert [one.body[key] for one in server.requests] == [query, document]


def test_every_service_is_recorded() -> None:
    recorded = {(one["kind"], one["service"]) for one in RECORDED}
    # This package's own server is asked itself; these three embed in OpenAI's form, to the letter.
    alike = {"rerank-plugins", "vllm", "siliconflow", "dashscope", "xinference"}
    assert {name for kind, name in recorded if kind == "reranker"} | {"rerank-plugins"} == set(RERANKERS)
    assert {name for kind, name in recorded if kind == "embedder"} | alike == set(EMBEDDERS)
