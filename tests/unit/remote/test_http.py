"""The HTTP client against a real server that behaves badly in every way."""

from __future__ import annotations

import asyncio
import copy
import logging
import pickle
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate
from typing import Any

import pytest
from scripted_server import Answer, scripted_server

from rerank_plugins.engine.deadline import Deadline
from rerank_plugins.errors import DeadlineExceededError, EngineClosedError, InvalidInputError, RemoteError
from rerank_plugins.remote import HttpClient, HttpSettings, in_threads
from rerank_plugins.remote import http as module

KEY = "sk-a-secret-of-the-test"
QUICK = HttpSettings(timeout_s=5.0, retries=2)


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FIRST_PAUSE_S", 0.01)
    monkeypatch.setenv("TEST_KEY", KEY)


@pytest.fixture(params=["sync", "async"])
def post(request: pytest.FixtureRequest) -> Any:
    def call(client: HttpClient, body: Any = None, **options: Any) -> Any:
        if request.param == "sync":
            return client.post("/chat", body or {}, **options)
        return asyncio.run(client.apost("/chat", body or {}, **options))

    return call


def test_json_goes_out_and_comes_back_with_the_key(post: Any) -> None:
    with scripted_server([Answer({"text": "né\u4e2d"})]) as server:
        client = HttpClient(server.url + "/v1/", key_env="TEST_KEY")
        assert post(client, {"query": "caf\u00e9 \ud800", "n": 3}) == {"text": "né\u4e2d"}
        (request,) = server.requests
        assert request.path == "/v1/chat"
        assert request.headers["authorization"] == f"Bearer {KEY}"
        assert request.body == {"query": "caf\u00e9 ?", "n": 3}
        client.close()
        with pytest.raises(EngineClosedError, match="closed"):
            post(client)


def test_no_key_is_sent_where_none_is_named(post: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with scripted_server([Answer({})]) as server:
        post(HttpClient(server.url))
        assert "authorization" not in server.requests[0].headers


@pytest.mark.parametrize("value", ["", "  ", "a\nb", "kéy"])
def test_a_key_that_no_header_can_hold(post: Any, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("TEST_KEY", value)
    with pytest.raises(InvalidInputError, match="TEST_KEY") as caught:
        post(HttpClient("http://127.0.0.1:9", key_env="TEST_KEY"))
    assert not value.strip() or value not in str(caught.value)


@pytest.mark.parametrize(
    "failure",
    [
        Answer({}, status=429),
        Answer({}, status=500),
        Answer({}, status=503),
        Answer({}, status=408),
        Answer({"a": "b" * 50}, cut=10),
        Answer(b"<html>busy</html>"),
        Answer({}, closes=True),
    ],
    ids=["429", "500", "503", "408", "cut", "html", "closed"],
)
def test_what_passes_is_tried_again(post: Any, failure: Answer) -> None:
    with scripted_server([failure, failure, Answer({"ok": True})]) as server:
        assert post(HttpClient(server.url, settings=QUICK)) == {"ok": True}
        assert len(server.requests) == 3


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_what_does_not_pass_is_not_tried_again(post: Any, status: int) -> None:
    body = {"error": {"message": f"no such model; your key {KEY}"}}
    with scripted_server([Answer(body, status=status)]) as server:
        with pytest.raises(RemoteError, match=f"HTTP {status}: no such model") as caught:
            post(HttpClient(server.url, key_env="TEST_KEY", settings=QUICK))
        assert (caught.value.status, caught.value.is_passing) == (status, False)
        assert KEY not in str(caught.value)
        assert len(server.requests) == 1


def test_retries_end(post: Any) -> None:
    with scripted_server([Answer({"message": "busy"}, status=503)]) as server:
        with pytest.raises(RemoteError, match="HTTP 503: busy") as caught:
            post(HttpClient(server.url, settings=QUICK))
        assert caught.value.is_passing
        assert len(server.requests) == 3


def test_a_pause_of_its_own_is_cut_to_the_longest_wait(post: Any) -> None:
    with scripted_server([Answer({}, status=429), Answer({}, status=500), Answer({"ok": True})]) as server:
        settings = HttpSettings(timeout_s=5.0, retries=2, longest_wait_s=0.01)
        assert post(HttpClient(server.url, settings=settings)) == {"ok": True}
        assert len(server.requests) == 3


@pytest.mark.parametrize("header", [{"Retry-After": "0.3"}, {"Retry-After-Ms": "300"}])
def test_a_server_says_when_to_come_again(post: Any, header: dict[str, str]) -> None:
    with scripted_server([Answer({}, status=429, headers=header), Answer({})]) as server:
        start_s = time.perf_counter()
        post(HttpClient(server.url))
        assert time.perf_counter() - start_s >= 0.3


def test_a_date_to_come_again_at(post: Any) -> None:
    header = {"Retry-After": formatdate(time.time() + 1.99, usegmt=True)}
    with scripted_server([Answer({}, status=503, headers=header), Answer({})]) as server:
        start_s = time.perf_counter()
        post(HttpClient(server.url))
        assert 0.5 <= time.perf_counter() - start_s < 10.0


@pytest.mark.parametrize("value", ["soon", "nan", "inf", "-5"])
def test_a_wait_that_is_none(post: Any, value: str) -> None:
    with scripted_server([Answer({}, status=429, headers={"Retry-After": value}), Answer({})]) as server:
        assert post(HttpClient(server.url)) == {}


def test_nobody_waits_for_an_hour(post: Any) -> None:
    with scripted_server([Answer({}, status=429, headers={"Retry-After": "3600"})]) as server:
        with pytest.raises(RemoteError, match="HTTP 429") as caught:
            post(HttpClient(server.url))
        assert caught.value.retry_after_s == 3600.0
        assert len(server.requests) == 1


def test_a_wait_longer_than_the_deadline_is_not_begun(post: Any) -> None:
    with scripted_server([Answer({}, status=429, headers={"Retry-After": "20"})]) as server:
        start_s = time.perf_counter()
        with pytest.raises(DeadlineExceededError):
            post(HttpClient(server.url), deadline=Deadline(10.0))
        assert time.perf_counter() - start_s < 5.0


def test_a_server_that_hangs(post: Any) -> None:
    with scripted_server([Answer({}, delay_s=30.0)]) as server:
        start_s = time.perf_counter()
        with pytest.raises(RemoteError, match=r"did not answer within 0\.2 s") as caught:
            post(HttpClient(server.url, settings=HttpSettings(timeout_s=0.2, retries=1)))
        assert caught.value.is_passing
        assert time.perf_counter() - start_s < 5.0
        assert len(server.requests) == 2


def test_a_server_that_drips(post: Any) -> None:
    with scripted_server([Answer({"a": "b" * 1000}, drip_s=0.05)]) as server:
        start_s = time.perf_counter()
        with pytest.raises(RemoteError, match="did not answer"):
            post(HttpClient(server.url, settings=HttpSettings(timeout_s=0.3, retries=0)))
        assert time.perf_counter() - start_s < 5.0


def test_the_deadline_ends_an_attempt(post: Any) -> None:
    with scripted_server([Answer({}, delay_s=30.0)]) as server:
        start_s = time.perf_counter()
        with pytest.raises(DeadlineExceededError):
            post(HttpClient(server.url), deadline=Deadline(0.2))
        assert time.perf_counter() - start_s < 5.0


async def test_a_cancelled_task_ends_at_once() -> None:
    with scripted_server([Answer({}, delay_s=30.0)]) as server:
        task = asyncio.create_task(HttpClient(server.url).apost("/chat", {}))
        await asyncio.sleep(0.3)
        assert server.requests
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 5.0)


def test_nobody_there(post: Any) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(RemoteError, match="cannot be reached") as caught:
        post(HttpClient(f"http://127.0.0.1:{port}", settings=QUICK))
    assert not caught.value.is_reached


def test_an_answer_without_end(post: Any) -> None:
    settings = HttpSettings(largest_answer_bytes=1000)
    with scripted_server([Answer({"a": "b" * 2000})]) as server:
        with pytest.raises(RemoteError, match="more than 1000 bytes"):
            post(HttpClient(server.url, settings=settings))
        assert len(server.requests) == 1


def test_a_redirect_within_the_server_is_followed(post: Any) -> None:
    script = [Answer({}, status=307, headers={"Location": "/v2/chat"}), Answer({"ok": True})]
    with scripted_server(script) as server:
        assert post(HttpClient(server.url, key_env="TEST_KEY"), {"a": 1}) == {"ok": True}
        assert [one.path for one in server.requests] == ["/chat", "/v2/chat"]
        assert server.requests[1].body == {"a": 1}


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_to_another_host_is_refused(post: Any, status: int) -> None:
    with scripted_server([Answer({})]) as other:
        location = other.url.replace("127.0.0.1", "localhost") + "/chat"
        script = [Answer({}, status=status, headers={"Location": location})]
        with scripted_server(script) as server, pytest.raises(RemoteError, match="which is not followed"):
            post(HttpClient(server.url, key_env="TEST_KEY"))
        assert not other.requests


@pytest.mark.parametrize("location", ["javascript:1", "http://[", "http://127.0.0.1:99999/chat", "//", "/\x00"])
def test_a_redirect_that_leads_nowhere(post: Any, location: str) -> None:
    with scripted_server([Answer({}, status=307, headers={"Location": location})]) as server:
        with pytest.raises(RemoteError, match=r"redirect|broke off") as caught:
            post(HttpClient(server.url, settings=QUICK))
        assert "base_url and the network" not in str(caught.value)
        assert len(server.requests) <= 4


def test_a_redirect_to_a_user_of_the_server_is_refused(post: Any) -> None:
    """httpx would send that user and password in place of the key."""

    def script(request: Any) -> Answer:
        where = f"http://user:word@{request.headers['host']}/chat"
        return Answer({}, status=307, headers={"Location": where})

    with scripted_server(script) as server:
        with pytest.raises(RemoteError, match="which is not followed") as caught:
            post(HttpClient(server.url, key_env="TEST_KEY"))
        assert "word@" not in str(caught.value)
        assert len(server.requests) == 1


def test_a_redirect_that_repeats_the_key_does_not_show_it(post: Any) -> None:
    location = {"Location": f"https://{KEY.upper()}.example.org/"}
    with scripted_server([Answer({}, status=307, headers=location)]) as server:
        with pytest.raises(RemoteError, match=r"\*\*\*\.example\.org") as caught:
            post(HttpClient(server.url, key_env="TEST_KEY"))
        assert KEY not in str(caught.value)


def test_cookies_are_not_sent_back() -> None:
    cookie = {"Set-Cookie": "caller=7; Path=/"}

    async def twice(client: HttpClient) -> None:
        for _ in range(2):
            await client.apost("/chat", {})

    with scripted_server([Answer({}, headers=cookie)]) as server:
        client = HttpClient(server.url)
        for _ in range(2):
            client.post("/chat", {})
        asyncio.run(twice(client))
        assert len(server.requests) == 4
        assert not any("cookie" in request.headers for request in server.requests)


@pytest.mark.parametrize("name", ["a..b", ".example.org", "a" * 70 + ".com", "xn--zzzzzzzz999999", "\u2024", "a b"])
def test_names_that_no_host_can_have(post: Any, name: str) -> None:
    for scheme in ("http", "https"):
        with pytest.raises(RemoteError, match=r"cannot be reached .*check base_url") as caught:
            post(HttpClient(f"{scheme}://{name}/v1", settings=HttpSettings(retries=0)))
        assert not caught.value.is_reached


def test_a_circle_of_redirects_ends(post: Any) -> None:
    with scripted_server([Answer({}, status=308, headers={"Location": "/chat"})]) as server:
        with pytest.raises(RemoteError, match="redirected the request"):
            post(HttpClient(server.url))
        assert len(server.requests) == 4


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.example.org",
        "ftp://a.b",
        "https://",
        "http://u:p@a.b/v1",
        "http://a.b/v1?key=x",
        "http://a.b:port",
        "http://[a",
    ],
)
def test_addresses_that_are_refused(url: str) -> None:
    with pytest.raises(InvalidInputError, match="base_url") as caught:
        HttpClient(url)
    assert "u:p" not in str(caught.value)


def test_the_key_is_kept_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    answers = [Answer({"error": KEY}, status=500), Answer({})]
    with scripted_server(answers) as server, caplog.at_level(logging.DEBUG):
        client = HttpClient(server.url, key_env="TEST_KEY")
        client.post("/chat", {"text": "a text of the user"})
        again = [pickle.loads(pickle.dumps(client)), copy.deepcopy(client)]
        for one in again:
            assert one.post("/chat", {}) == {}
        held = [repr(client), str(vars(client)), caplog.text]
        assert not any(KEY in text for text in held)
        assert "a text of the user" not in caplog.text
        assert KEY.encode() not in pickle.dumps(client)
        assert len(server.requests) == 4


def test_one_client_serves_many_loops_and_closes_what_it_opened(recwarn: pytest.WarningsRecorder) -> None:
    async def several() -> list[Any]:
        return await asyncio.gather(*(client.apost("/chat", {}) for _ in range(5)))

    with scripted_server([Answer({"ok": True})]) as server:
        client = HttpClient(server.url)
        for _ in range(3):
            assert asyncio.run(several()) == [{"ok": True}] * 5
            assert len(client._tasks._of_loops) <= 1
    # Clients of other tests may be collected here.
    port = server.url.rpartition(":")[2]
    assert not [str(one.message) for one in recwarn if port in str(one.message)]


def test_threads_use_connections_again_and_close_them(monkeypatch: pytest.MonkeyPatch) -> None:
    with scripted_server(lambda request: Answer(request.body, delay_s=0.05)) as server:
        client = HttpClient(server.url)

        def ask(number: int) -> Any:
            return client.post("/chat", {"n": number})

        for _ in range(3):
            with ThreadPoolExecutor(8) as pool:
                assert list(pool.map(ask, range(8))) == [{"n": number} for number in range(8)]
        assert server.most_at_once == 8
        assert len({request.port for request in server.requests}) == 8
        # One caller from now on: the others' connections are of no more use, and are closed when they are old.
        monkeypatch.setattr(in_threads, "_LONGEST_IDLE_S", 0.1)
        for number in range(4):
            ask(number)
        assert len({request.port for request in server.requests[24:]}) == 1
        assert len(client._threads._idle) == 1
        client.close()
        assert client._threads._idle == []


@pytest.mark.parametrize("settings", [{"timeout_s": 0}, {"retries": -1}, {"longest_wait_s": -1.0}, {"timeout_s": None}])
def test_settings_that_cannot_work(settings: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError, match=next(iter(settings))):
        HttpSettings(**settings)
