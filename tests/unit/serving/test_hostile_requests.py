"""Whatever is sent is answered with a 4xx in the dialect's own shape, or rightly; never with an error of the server."""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from served import client_of

from rerank_plugins.serving.app import serving_app
from rerank_plugins.serving.routing import PATHS
from rerank_plugins.serving.settings import Limits, ModelPlan, ServeSettings

RECORDED = json.loads((Path(__file__).parent / "recorded_requests.json").read_text(encoding="utf-8"))

Post = Callable[..., httpx.Response]


@pytest.fixture(scope="module")
def post(checkpoints: Path) -> Iterator[Post]:
    """One server for all examples, on an event loop of its own."""
    plans = [("ranker", "bert-reranker"), ("vectors", "bert-embedder")]
    app = serving_app(
        ServeSettings(
            models=tuple(ModelPlan(name=name, model=str(checkpoints / folder)) for name, folder in plans),
            reranker_options={"device": "cpu"},
            embedder_options={"device": "cpu"},
            limits=Limits(max_body_bytes=4_000_000),
        )
    )
    loop = asyncio.new_event_loop()

    async def run(path: str, **options: Any) -> httpx.Response:
        async with client_of(app) as client:
            return await client.post(path, **options)

    try:
        loop.run_until_complete(app.load())
        yield lambda path, **options: loop.run_until_complete(run(path, **options))
    finally:
        app.close()
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


SHAPES: dict[str, set[str]] = {
    "/v2/rerank": {"message", "error"},
    "/v1/embed": {"id", "message"},
    "/v2/embed": {"id", "message"},
    "/v1/rerank": {"detail", "message", "error"},
    "/v1/reranking": {"detail", "message", "error"},
    "/rerank": {"error", "detail"},
    "/reranking": {"error", "detail"},
    "/": {"error", "error_type"},
    "/embed": {"error", "error_type"},
    "/embed_sparse": {"error", "error_type"},
    "/embed_all": {"error", "error_type"},
    "/similarity": {"error", "error_type"},
    "/tokenize": {"error", "error_type"},
    "/score": {"error"},
    "/v1/score": {"error"},
    "/v1/explain": {"detail"},
    "/embeddings": {"error"},
    "/v1/embeddings": {"error"},
    "/compatible-mode/v1/embeddings": {"error"},
    "/v1/ranking": {"error", "detail"},
    "/v1/retrieval/{model}/reranking": {"error", "detail"},
    "/reranks": {"code", "message", "request_id"},
    "/v1/reranks": {"code", "message", "request_id"},
    "/compatible-api/v1/reranks": {"code", "message", "request_id"},
    "/compatible-mode/v1/reranks": {"code", "message", "request_id"},
    "/api/v1/services/rerank/text-rerank/text-rerank": {"code", "message", "request_id"},
}
"""Members of an error; of dialects that share a path, those of any."""

ANY_OF = {"/v2/rerank", "/v1/rerank", "/v1/reranking", "/rerank", "/reranking"}


def check_refusal(response: httpx.Response, path: str) -> None:
    assert 400 <= response.status_code < 500, (path, response.status_code, response.text[:300])
    answer = response.json()
    label = path if path in SHAPES else "/v1/retrieval/{model}/reranking"
    members = SHAPES[label]
    assert members & set(answer) if label in ANY_OF else members <= set(answer), (path, answer)


def test_every_path_has_a_shape_of_errors() -> None:
    assert set(SHAPES) == set(PATHS)


BROKEN = {
    "empty": b"",
    "not json": b"query=a",
    "cut": b'{"query": "a", "docu',
    "not utf-8": b'{"query": "\xff\xfe", "documents": ["a"], "texts": ["a"], "input": "\xff"}',
    "lone surrogate": b'{"query": "\\ud800", "documents": ["a"], "texts": ["a"], "inputs": "\\udfff"}',
    "nan": b'{"query": "a", "documents": ["a"], "top_n": NaN}',
    "infinity": b'{"query": "a", "documents": ["a"], "top_n": -Infinity}',
    "deep lists": b'{"query": ' + b"[" * 200_000 + b"]" * 200_000 + b"}",
    "deep objects": b'{"a":' * 200_000 + b"1" + b"}" * 200_000,
    "unclosed lists": b"[" * 3_000_000,
    "a list": b"[]",
    "a text": b'"abc"',
    "null": b"null",
    "zero bytes": b"\x00" * 1_000,
    "a million empty documents": b'{"query": "a", "documents": [' + b'"",' * 999_999 + b'""]}',
    "a million empty texts": b'{"query": "a", "texts": [' + b'"",' * 999_999 + b'""]}',
    "a million empty inputs": b'{"input": [' + b'"",' * 999_999 + b'""]}',
    "more than a million members": b'{"query": "a", "documents": [' + b"[]," * 1_100_000 + b"[]]}",
    "a byte order mark": b"\xef\xbb\xbf{}",
}


@pytest.mark.parametrize("path", [path.replace("{model}", "ranker") for path in PATHS])
def test_broken_bodies(post: Post, path: str) -> None:
    for name, body in BROKEN.items():
        response = post(path, content=body, headers={"content-type": "application/json"})
        assert 400 <= response.status_code < 500, (name, response.status_code, response.text[:200])
        check_refusal(response, path)


JUNK: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(min_value=-(10**30), max_value=10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["", " ", "true", "Right", "left", "\x00", "a" * 5_000, "🐼", "../../etc/passwd", "http://x/y"])
    | st.text(max_size=8).filter(lambda text: text.isprintable()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["text", "a", ""]), inner, max_size=2),
    max_leaves=6,
)

EXTRA = st.sampled_from(
    [
        *("top_n", "top_k", "return_documents", "model", "query", "documents", "texts", "truncate", "raw_scores"),
        *("max_tokens_per_doc", "max_chunks_per_doc", "overlap_tokens", "relevant_spans", "rank_fields", "priority"),
        *("instruction", "truncate_prompt_tokens", "max_tokens_per_query", "truncation_side", "use_activation"),
        *("encoding_format", "dimensions", "input_type", "embedding_types", "normalize", "task", "prompt_name"),
        *("parameters", "input", "inputs", "passages", "text_1", "text_2", "kwargs", "return_len", "truncation"),
        *("x_rerank_plugins", "output_dimension", "output_dtype", "truncation_direction", "instruct", "normalized"),
    ]
)


def places(value: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the way to every field and element."""
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in members:
        yield (*way, key)
        yield from places(inner, (*way, key))


@st.composite
def spoilt(draw: st.DrawFn) -> tuple[dict[str, Any], Any]:
    """Draw a recorded request of which a few fields are replaced, removed or added."""
    recorded = draw(st.sampled_from(RECORDED))
    body = copy.deepcopy(recorded["body"])
    for _ in range(draw(st.integers(1, 3))):
        if draw(st.booleans()):
            body[draw(EXTRA)] = draw(JUNK)
            continue
        ways = list(places(body))
        if not ways:
            continue
        way = draw(st.sampled_from(ways))
        holder = body
        for key in way[:-1]:
            holder = holder[key]
        if draw(st.integers(0, 4)) == 0:
            del holder[way[-1]]
        else:
            holder[way[-1]] = draw(JUNK)
    return recorded, body


def check_spoilt(post: Post, example: tuple[dict[str, Any], Any]) -> None:
    recorded, body = example
    response = post(recorded["path"], json=body, headers=recorded.get("headers"))
    if response.status_code != 200:
        check_refusal(response, recorded["path"])


@settings(derandomize=True, deadline=None, max_examples=150)
@given(example=spoilt())
def test_wrong_types_in_any_field(post: Post, example: tuple[dict[str, Any], Any]) -> None:
    check_spoilt(post, example)


@pytest.mark.slow
@settings(derandomize=True, deadline=None, max_examples=2_000)
@given(example=spoilt())
def test_wrong_types_in_any_field_many_times(post: Post, example: tuple[dict[str, Any], Any]) -> None:
    check_spoilt(post, example)


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda recorded: recorded["client"])
def test_every_field_with_every_type(post: Post, recorded: dict[str, Any]) -> None:
    for way in places(recorded["body"]):
        for value in (None, True, -1, 10**40, 1.5, "", "x", [], [[]], {}, [None]):
            body = copy.deepcopy(recorded["body"])
            holder = body
            for key in way[:-1]:
                holder = holder[key]
            holder[way[-1]] = value
            check_spoilt(post, (recorded, body))


def test_messages_do_not_echo_texts(post: Post) -> None:
    for body in ({"query": ["secret words"]}, {"query": "q", "documents": [{"secret words": 1}]}, {"top_n": "secret"}):
        response = post("/v1/rerank", json={"query": "q", "documents": ["d"], **body})
        assert response.status_code == 422
        assert "secret" not in response.text
