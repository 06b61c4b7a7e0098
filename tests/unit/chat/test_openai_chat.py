"""The client of endpoints in OpenAI's form, against a real server on the loopback."""

from __future__ import annotations

import asyncio
import json
import logging
import pickle
from pathlib import Path
from typing import Any

import pytest
from chat_models import OracleChat
from scripted_server import Answer, Request, scripted_server
from typer.testing import CliRunner

from rerank_plugins import ChatScorer, Reranker
from rerank_plugins.chat import ChatAnswer, ChatMessage, ChatOptions, ChatTokens, Listwise, OpenAIChat
from rerank_plugins.chat.openai import OPENAI_URL
from rerank_plugins.cli import app
from rerank_plugins.errors import InvalidInputError, RemoteError, ScoringError
from rerank_plugins.remote import HttpSettings
from rerank_plugins.remote import http as module

KEY = "sk-a-secret-of-the-test"
TURNS = [ChatMessage("system", "be brief"), ChatMessage("user", "hello")]
QUICK = HttpSettings(timeout_s=5.0, retries=1)


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FIRST_PAUSE_S", 0.01)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


@pytest.fixture(params=["sync", "async"])
def complete(request: pytest.FixtureRequest) -> Any:
    def call(model: OpenAIChat, options: ChatOptions | None = None) -> ChatAnswer:
        if request.param == "sync":
            return model.complete(TURNS, options or ChatOptions())
        return asyncio.run(model.acomplete(TURNS, options or ChatOptions()))

    return call


def response(text: Any, **more: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "message": {"role": "assistant", "content": text}, **more}]}


def oracle(request: Request) -> Answer:
    """Answer as a model that knows, in OpenAI's form."""
    turns = [ChatMessage(one["role"], one["content"]) for one in request.body["messages"]]
    schema = request.body.get("response_format")
    found = OracleChat().complete(turns, ChatOptions(schema=schema))
    return Answer({**response(found.text), "usage": {"prompt_tokens": 100, "completion_tokens": 7}})


def test_what_is_sent_and_what_comes_back(complete: Any) -> None:
    top = [{"token": "Yes", "logprob": -0.1}, {"token": "No", "logprob": -2.5}]
    logprobs = {"content": [{"token": "Yes", "logprob": -0.1, "top_logprobs": top}]}
    body = {**response("Yes", logprobs=logprobs), "usage": {"prompt_tokens": 12, "completion_tokens": 1}}
    with scripted_server([Answer(body)]) as server:
        model = OpenAIChat("gpt-x", base_url=f"{server.url}/v1", extra={"reasoning_effort": "low"})
        schema = {"type": "object"}
        answer = complete(model, ChatOptions(max_tokens=1, top_logprobs=20, schema=schema))
        assert answer == ChatAnswer(text="Yes", logprobs={"Yes": -0.1, "No": -2.5}, usage=ChatTokens(12, 1))
        (request,) = server.requests
        assert request.path == "/v1/chat/completions"
        assert request.body == {
            "model": "gpt-x",
            "messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hello"}],
            "temperature": 0.0,
            "max_tokens": 1,
            "logprobs": True,
            "top_logprobs": 20,
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "answer", "strict": True, "schema": schema},
            },
            "reasoning_effort": "low",
        }


@pytest.mark.parametrize(
    ("content", "text"),
    [(None, ""), ([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "ab"), ("", ""), (3, "")],
)
def test_contents_that_are_no_text(complete: Any, content: Any, text: str) -> None:
    with scripted_server([Answer(response(content))]) as server:
        assert complete(OpenAIChat("m", base_url=server.url)) == ChatAnswer(text=text)


@pytest.mark.parametrize(
    "body", [[], {}, {"choices": []}, {"choices": [None]}, {"choices": [{"message": None}]}, "text", 3]
)
def test_json_that_is_no_answer(complete: Any, body: Any) -> None:
    with scripted_server([Answer(body)]) as server, pytest.raises(RemoteError, match="holds no message of a model"):
        complete(OpenAIChat("m", base_url=server.url, http=QUICK))


@pytest.mark.parametrize(
    "amiss",
    [
        {"logprobs": []},
        {"logprobs": {"content": [{}]}},
        {"logprobs": {"content": [{"token": 3}]}},
        {"logprobs": {"content": [{"token": "Yes", "logprob": -(10**400)}]}},
        {"logprobs": {"content": [{"token": "Yes", "logprob": float("nan")}]}},
    ],
    ids=range(5),
)
def test_log_probabilities_that_are_none(complete: Any, amiss: Any) -> None:
    with scripted_server([Answer({**response("Yes", **amiss), "usage": {"prompt_tokens": "many"}})]) as server:
        assert complete(OpenAIChat("m", base_url=server.url)) == ChatAnswer(text="Yes")


@pytest.mark.parametrize(
    ("message", "field", "instead"),
    [
        ("'response_format' of type 'json_schema' is not supported with this model.", "response_format", None),
        ("json_schema is not supported", "response_format", None),
        ("You are not allowed to request logprobs from this model.", "logprobs", None),
        ("Unsupported value: 'temperature' does not support 0.0 with this model.", "temperature", None),
        (
            "'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
            "max_tokens",
            "max_completion_tokens",
        ),
    ],
)
def test_what_an_endpoint_refuses_is_left_out_from_then_on(
    complete: Any, message: str, field: str, instead: str | None
) -> None:
    def script(request: Request) -> Answer:
        if field in request.body:
            return Answer({"error": {"message": message}}, status=400)
        return Answer(response("fine"))

    options = ChatOptions(max_tokens=1, top_logprobs=20, schema={"type": "object"})
    with scripted_server(script) as server:
        model = OpenAIChat("m", base_url=server.url)
        assert model.offers_schema
        assert complete(model, options).text == "fine"
        assert complete(model, options).text == "fine"
        assert [field in one.body for one in server.requests] == [True, False, False]
        assert instead is None or all(one.body[instead] == 1 for one in server.requests[1:])
        assert model.offers_schema == (field != "response_format")
        left = {"response_format", "logprobs", "temperature", "max_tokens"} - {field}
        assert left <= server.requests[-1].body.keys()


def test_what_the_caller_asks_for_is_refused_once(complete: Any) -> None:
    message = "Unsupported value: 'temperature' does not support 0.7 with this model."
    with scripted_server([Answer({"error": {"message": message}}, status=400)] * 9) as server:
        with pytest.raises(RemoteError, match="does not support"):
            complete(OpenAIChat("m", base_url=server.url, http=QUICK, extra={"temperature": 0.7}))
        assert len(server.requests) == 1


def test_other_refusals_are_errors(complete: Any) -> None:
    told = {"error": {"message": "This model's maximum context length is 8192 tokens"}}
    with scripted_server([Answer(told, status=400)]) as server:
        with pytest.raises(RemoteError, match="maximum context length"):
            complete(OpenAIChat("m", base_url=server.url))
        assert len(server.requests) == 1


def test_the_key_goes_to_openai_only_unless_it_is_named() -> None:
    assert OpenAIChat("m")._client.key_env == "OPENAI_API_KEY"
    assert OpenAIChat("m", base_url=OPENAI_URL + "/")._client.key_env == "OPENAI_API_KEY"
    assert OpenAIChat("m", base_url="https://api.openai.com.example.org/v1")._client.key_env is None
    with scripted_server([Answer(response("a"))]) as server:
        OpenAIChat("m", base_url=server.url).complete(TURNS, ChatOptions())
        OpenAIChat("m", base_url=server.url, key_env="OPENAI_API_KEY").complete(TURNS, ChatOptions())
        assert [one.headers.get("authorization") for one in server.requests] == [None, f"Bearer {KEY}"]


def test_the_key_is_in_no_error_log_or_pickle(caplog: pytest.LogCaptureFixture) -> None:
    with scripted_server([Answer({"error": {"message": f"bad key {KEY}"}}, status=401)]) as server:
        model = OpenAIChat("m", base_url=server.url, key_env="OPENAI_API_KEY")
        reranker = Reranker(backend=ChatScorer(model))
        with caplog.at_level(logging.DEBUG), pytest.raises(RemoteError, match="HTTP 401") as caught:
            reranker.rank("q", ["one", "two"])
        told = [str(caught.value), repr(caught.value.__cause__), repr(model), caplog.text, repr(reranker._backend)]
        assert not any(KEY in one for one in told)
        assert KEY.encode() not in pickle.dumps(reranker)


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("refuses", [False, True])
def test_a_ranking_over_http(is_async: bool, refuses: bool) -> None:
    """An endpoint that refuses the schema is asked once more without, and its JSON is read all the same."""

    def script(request: Request) -> Answer:
        if refuses and "response_format" in request.body:
            return Answer({"error": "response_format: unknown field"}, status=422)
        return oracle(request)

    texts = ["moon", "the panda eats", "a panda eats bamboo and the panda eats more"]
    with scripted_server(script) as server:
        model = OpenAIChat("gpt-x", base_url=server.url)
        reranker = Reranker(backend=ChatScorer(model, method=Listwise()))
        ranking = asyncio.run(reranker.arank("panda eats", texts)) if is_async else reranker.rank("panda eats", texts)
        assert [one.index for one in ranking] == [2, 1, 0]
        assert ranking.usage is not None
        assert ranking.usage.chat is not None
        assert (ranking.usage.chat.calls, ranking.usage.tokens, ranking.usage.chat.is_estimate) == (1, 107, False)
        assert len(server.requests) == 1 + refuses
        assert "JSON" in server.requests[0].body["messages"][-1]["content"]


@pytest.mark.parametrize(
    "failure",
    [
        Answer({}, status=429),
        Answer({}, status=429, headers={"Retry-After": "0.05"}),
        Answer({}, status=500),
        Answer(response("x" * 100), cut=20),
        Answer(b"not json"),
        Answer({}, closes=True),
    ],
    ids=["429", "429-retry-after", "500", "cut", "json", "closed"],
)
def test_a_server_that_stumbles_and_one_that_never_gets_up(failure: Answer) -> None:
    with scripted_server([failure, Answer(response("[2] > [1]"))]) as server:
        model = OpenAIChat("m", base_url=server.url, http=QUICK)
        ranking = Reranker(backend=ChatScorer(model)).rank("q", ["one", "two"])
        assert [one.index for one in ranking] == [1, 0]
    with scripted_server([failure]) as server:
        model = OpenAIChat("m", base_url=server.url, http=QUICK)
        ranking = Reranker(backend=ChatScorer(model)).rank("q", ["one", "two"])
        assert [one.index for one in ranking] == [0, 1]
        assert ranking.usage is not None
        assert ranking.usage.chat is not None
        assert ranking.usage.chat.failed_calls == 1


def test_nobody_there_is_an_error() -> None:
    with scripted_server([Answer({})]) as server:
        url = server.url
    with pytest.raises(ScoringError, match="cannot be reached"):
        Reranker(backend=ChatScorer(OpenAIChat("m", base_url=url, http=QUICK))).rank("q", ["one", "two"])


def test_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["moon", "the panda eats"]
    with scripted_server(oracle) as server:
        for method in ("listwise", "pointwise", "pairwise", "setwise"):
            with Reranker(f"openai-chat:org/gpt:x?method={method}&base_url={server.url}/v1") as reranker:
                assert [one.index for one in reranker.rank("panda eats", texts)] == [1, 0]
        assert {one.body["model"] for one in server.requests} == {"org/gpt:x"}
        assert not any("authorization" in one.headers for one in server.requests)
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        server.requests.clear()
        with Reranker("openai-chat:gpt-x") as reranker:
            assert [one.index for one in reranker.rank("panda eats", texts)] == [1, 0]
            assert (reranker.model, reranker.device) == ("openai-chat:gpt-x", server.url.removeprefix("http://"))
        assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("openai-chat", "name of a chat model is missing"),
        ("openai-chat:", "name of a chat model is missing"),
        ("openai-chat:gpt?method=best", "method must be one of"),
        ("openai-chat:gpt?temprature=1", "'temprature' is no setting"),
        ("openai-chat:gpt?listwise", "no setting"),
        ("openai-chat:gpt?method=listwise&method=pointwise", "gives a setting twice"),
        ("openai-chat:gpt?base_url=ftp://x", "base_url"),
        ("local-chat:", "name of a chat model is missing"),
    ],
)
def test_names_that_cannot_be_opened(name: str, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        Reranker(name)


def test_bad_arguments() -> None:
    for options, told in (({"model": " "}, "model"), ({"model": "m", "extra": {"stream": True}}, "'stream'")):
        with pytest.raises(InvalidInputError, match=told):
            OpenAIChat(**options)


def test_on_the_command_line(tmp_path: Path) -> None:
    documents = tmp_path / "documents.txt"
    documents.write_text("moon\nthe panda eats\n\na panda eats bamboo and the panda eats\n", encoding="utf-8")
    with scripted_server(oracle) as server:
        model = f"openai-chat:gpt-x?base_url={server.url}&method=setwise"
        result = CliRunner().invoke(app, ["rank", str(documents), "--query", "panda eats", "--model", model, "--json"])
    assert result.exit_code == 0, result.output
    assert [one["index"] for one in json.loads(result.stdout)] == [3, 1, 0, 2]
