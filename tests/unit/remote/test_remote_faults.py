"""Every dialect against a server that fails in every way: the right result or a typed error, never another's score."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scripted_server import Answer, Request, scripted_server
from service_answers import embedded_texts, reranked, reranked_texts, vectors_of

from rerank_plugins import Embedder, RemoteEmbedder, RemoteScorer, Reranker
from rerank_plugins.errors import (
    DeadlineExceededError,
    InvalidInputError,
    OverloadedError,
    RemoteError,
    RemoteUnavailableError,
)
from rerank_plugins.remote import HttpSettings, RemoteLimits
from rerank_plugins.remote import http as http_module
from rerank_plugins.remote.dialects import EMBEDDERS, RERANKERS

TEXTS = [f"text {number}" for number in range(10)]
QUICK = HttpSettings(timeout_s=2.0, retries=2)
THREE = RemoteLimits(batch_items=3, concurrency=2)

Script = Callable[[Request], Answer]


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_module, "_FIRST_PAUSE_S", 0.01)


@pytest.fixture(params=["sync", "async"])
def score(request: pytest.FixtureRequest) -> Any:
    def call(scorer: RemoteScorer, texts: list[str] = TEXTS, **options: Any) -> list[float]:
        pairs = [("a query", text) for text in texts]
        reranker = Reranker(backend=scorer)
        if request.param == "sync":
            return reranker.score(pairs, **options)
        return asyncio.run(reranker.ascore(pairs, **options))

    return call


def score_of(text: str) -> float:
    return int(text.split()[1]) / 100


def scorer_at(service: str, url: str, **options: Any) -> RemoteScorer:
    return RemoteScorer(service, "model", base_url=url, **{"http": QUICK, "limits": THREE, **options})


def right(service: str, request: Request) -> Any:
    texts = reranked_texts(service, request.body)
    # Worst first: a service says where a score belongs, and the order says nothing.
    return reranked(service, [(index, score_of(text)) for index, text in reversed(list(enumerate(texts)))])


def failing_once(service: str, failure: Answer) -> Script:
    """Answer each request with a failure when it comes first, and right from then on."""
    seen: set[str] = set()

    def script(request: Request) -> Answer:
        texts = "".join(reranked_texts(service, request.body))
        if texts in seen:
            return Answer(right(service, request))
        seen.add(texts)
        return failure

    return script


PASSING = {
    "429": Answer({"message": "slow down"}, status=429),
    "429 with Retry-After": Answer({"detail": "slow down"}, status=429, headers={"Retry-After": "0.2"}),
    "500": Answer({"error": "a text of the user"}, status=500),
    "503": Answer(b"busy", status=503),
    "cut": Answer({"results": [{"index": 0}]}, cut=5),
    "html": Answer(b"<html>a proxy</html>"),
    "closed": Answer({}, closes=True),
}


@pytest.mark.parametrize("service", RERANKERS)
@pytest.mark.parametrize("failure", PASSING)
def test_what_passes_is_tried_again_and_nothing_is_mixed_up(service: str, failure: str, score: Any) -> None:
    with scripted_server(failing_once(service, PASSING[failure])) as server:
        start_s = time.perf_counter()
        assert score(scorer_at(service, server.url)) == pytest.approx([score_of(text) for text in TEXTS])
        assert len(server.requests) == 8
        assert server.most_at_once <= 2
        if failure == "429 with Retry-After":
            assert time.perf_counter() - start_s >= 0.4


@pytest.mark.parametrize("service", RERANKERS)
@pytest.mark.parametrize("failure", ["429", "500", "closed"])
def test_what_does_not_pass_in_time_is_a_service_that_is_not_there(service: str, failure: str, score: Any) -> None:
    with scripted_server([PASSING[failure]]) as server:
        with pytest.raises(RemoteUnavailableError) as caught:
            score(scorer_at(service, server.url), TEXTS[:2])
        assert isinstance(caught.value, OverloadedError)
        assert isinstance(caught.value, RemoteError)
        assert caught.value.is_passing
        assert len(server.requests) == 3


WRONG: dict[str, Callable[[str, int], Any]] = {
    "missing": lambda service, n: reranked(service, [(index, 0.5) for index in range(n - 1)]),
    "none": lambda service, _: reranked(service, []),
    "double": lambda service, n: reranked(service, [*((index, 0.5) for index in range(n - 1)), (0, 0.5)]),
    "more": lambda service, n: reranked(service, [(index, 0.5) for index in range(n + 1)]),
    "negative": lambda service, n: reranked(service, [(index - 1, 0.5) for index in range(n)]),
    "true": lambda service, n: reranked(service, [(index if index != 1 else True, 0.5) for index in range(n)]),
    "text": lambda service, n: reranked(service, [(index, "0.5") for index in range(n)]),
    "null": lambda service, n: reranked(service, [(index, None) for index in range(n)]),
    "nan": lambda service, n: reranked(service, [(index, float("nan")) for index in range(n)]),
    "infinity": lambda service, n: reranked(service, [(index, float("inf")) for index in range(n)]),
    "huge": lambda service, n: reranked(service, [(index, 10**400) for index in range(n)]),
    "list": lambda _service, _n: [1, 2],
    "object": lambda _service, _n: {"results": {"index": 0}},
    "error in a success": lambda _service, _n: {"detail": "no such model"},
}


@pytest.mark.parametrize("service", RERANKERS)
@pytest.mark.parametrize("wrong", WRONG)
def test_answers_that_are_none_are_errors(service: str, wrong: str) -> None:
    def script(request: Request) -> Answer:
        return Answer(WRONG[wrong](service, len(reranked_texts(service, request.body))))

    with scripted_server(script) as server:
        with pytest.raises(RemoteError, match=f"{service} answered with") as caught:
            Reranker(backend=scorer_at(service, server.url)).score([("q", text) for text in TEXTS[:3]])
        assert not isinstance(caught.value, RemoteUnavailableError)
        assert "text 0" not in str(caught.value)
        assert len(server.requests) == 1


@pytest.mark.parametrize("service", [name for name, one in RERANKERS.items() if one.scale == "probability"])
def test_numbers_that_are_no_probabilities_are_an_error_with_the_way_out(service: str, score: Any) -> None:
    def script(request: Request) -> Answer:
        texts = reranked_texts(service, request.body)
        return Answer(reranked(service, [(index, index - 1.5) for index in range(len(texts))]))

    with scripted_server(script) as server:
        with pytest.raises(RemoteError, match=r"no probabilities; .*scores=logit"):
            score(scorer_at(service, server.url), TEXTS[:3])
        if service != "rerank-plugins":  # which is asked for another field
            assert score(scorer_at(service, server.url, scores="logit"), TEXTS[:3]) == [-1.5, -0.5, 0.5]


@pytest.mark.parametrize("service", RERANKERS)
def test_a_redirect_to_another_host_is_refused(service: str, score: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", "sk-a-secret")
    with scripted_server([Answer({})]) as other:
        location = {"Location": other.url.replace("127.0.0.1", "localhost") + "/rerank"}
        with scripted_server([Answer({}, status=307, headers=location)]) as server:
            with pytest.raises(RemoteError, match="which is not followed") as caught:
                score(scorer_at(service, server.url, key_env="TEST_KEY"))
            assert "sk-a-secret" not in str(caught.value)
        assert not other.requests


@pytest.mark.parametrize("service", ["cohere", "tei"])
def test_a_slow_server_ends_with_the_deadline(service: str, score: Any) -> None:
    with scripted_server([Answer({}, delay_s=30.0)]) as server:
        start_s = time.perf_counter()
        with pytest.raises(DeadlineExceededError):
            score(scorer_at(service, server.url), deadline_s=0.3)
        assert time.perf_counter() - start_s < 5.0


def test_a_wait_that_the_deadline_does_not_allow_is_not_begun(score: Any) -> None:
    with scripted_server([Answer({}, status=429, headers={"Retry-After": "20"})]) as server:
        start_s = time.perf_counter()
        with pytest.raises(DeadlineExceededError):
            score(scorer_at("cohere", server.url), TEXTS[:2], deadline_s=10.0)
        assert time.perf_counter() - start_s < 5.0


async def test_a_cancelled_task_drops_its_requests() -> None:
    with scripted_server([Answer({}, delay_s=30.0)]) as server:
        reranker = Reranker(backend=scorer_at("cohere", server.url))
        task = asyncio.create_task(reranker.ascore([("q", text) for text in TEXTS]))
        await asyncio.sleep(0.3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 5.0)
        assert len(server.requests) == 2


def test_a_service_that_does_not_answer_is_left_alone_and_tried_again(score: Any) -> None:
    answers = {"is_up": False}

    def script(request: Request) -> Answer:
        return Answer(right("tei", request)) if answers["is_up"] else Answer({}, status=503)

    with scripted_server(script) as server:
        limits = RemoteLimits(failures=2, pause_s=0.5)
        scorer = scorer_at("tei", server.url, limits=limits, http=HttpSettings(retries=0))
        for _ in range(2):
            with pytest.raises(RemoteUnavailableError, match="HTTP 503"):
                score(scorer, TEXTS[:2])
        for _ in range(5):
            with pytest.raises(RemoteUnavailableError, match="left alone"):
                score(scorer, TEXTS[:2])
        assert len(server.requests) == 2
        time.sleep(0.6)
        with pytest.raises(RemoteUnavailableError, match="HTTP 503"):
            score(scorer, TEXTS[:2])
        answers["is_up"] = True
        with pytest.raises(RemoteUnavailableError, match="left alone"):
            score(scorer, TEXTS[:2])
        time.sleep(0.6)
        for _ in range(2):
            assert score(scorer, TEXTS[:2]) == pytest.approx([0.0, 0.01])


def test_a_service_that_is_back_answers_a_call_of_several_requests(score: Any) -> None:
    """The one request that is tried goes first: the others of its call neither fail beside it nor end it."""
    answers = {"is_up": False}

    def script(request: Request) -> Answer:
        # Late enough that all requests of a call would be under way before the first is answered.
        return Answer(right("tei", request), delay_s=0.05) if answers["is_up"] else Answer({}, status=503)

    with scripted_server(script) as server:
        limits = RemoteLimits(batch_items=3, concurrency=2, failures=1, pause_s=0.2)
        scorer = scorer_at("tei", server.url, limits=limits, http=HttpSettings(retries=0))
        with pytest.raises(RemoteUnavailableError, match="HTTP 503"):
            score(scorer)
        answers["is_up"] = True
        time.sleep(0.25)
        assert score(scorer) == pytest.approx([score_of(text) for text in TEXTS])


def test_a_server_that_asks_for_an_hour_is_left_alone_at_once(score: Any) -> None:
    with scripted_server([Answer({}, status=429, headers={"Retry-After": "3600"})]) as server:
        scorer = scorer_at("cohere", server.url)
        with pytest.raises(RemoteUnavailableError) as caught:
            score(scorer, TEXTS[:2])
        assert caught.value.retry_after_s == 3600.0
        with pytest.raises(RemoteUnavailableError, match="left alone"):
            score(scorer, TEXTS[:2])
        assert len(server.requests) == 1


@pytest.mark.parametrize("details", ["text", [1], 5, None, {}, {"raw_score": "1"}])
def test_our_own_servers_details_that_are_none(score: Any, details: Any) -> None:
    rows = [{"index": place, "relevance_score": 0.5, "x_rerank_plugins": details} for place in range(2)]
    with scripted_server([Answer({"results": rows})]) as server, pytest.raises(RemoteError, match="no finite number"):
        score(scorer_at("rerank-plugins", server.url, scores="logit"), TEXTS[:2])


def test_a_body_that_is_too_large_is_cut_in_two(score: Any) -> None:
    def script(request: Request) -> Answer:
        many = len(reranked_texts("vllm", request.body)) > 2
        return Answer({}, status=413) if many else Answer(right("vllm", request))

    with scripted_server(script) as server:
        limits = RemoteLimits(batch_items=100)
        found = score(scorer_at("vllm", server.url, limits=limits))
        assert found == pytest.approx([score_of(text) for text in TEXTS])


def test_a_service_that_is_back_and_refuses_is_there(score: Any) -> None:
    """The one request that is tried after a pause says that it is too large, or wrong: others go on at once."""
    is_down = True

    def script(request: Request) -> Answer:
        if is_down:
            return Answer({}, status=503)
        texts = reranked_texts("vllm", request.body)
        if "text 9" in texts and len(texts) == 1:
            return Answer({"message": "wrong"}, status=400)
        return Answer({}, status=413) if len(texts) > 2 else Answer(right("vllm", request))

    with scripted_server(script) as server:
        limits = RemoteLimits(batch_items=100, concurrency=1, failures=1, pause_s=0.2)
        scorer = scorer_at("vllm", server.url, limits=limits, http=HttpSettings(retries=0))
        for asked in (TEXTS[:4], TEXTS[9:]):
            is_down = True
            with pytest.raises(RemoteUnavailableError, match="503"):
                score(scorer, TEXTS[:1])
            is_down = False
            time.sleep(0.25)
            if len(asked) == 1:
                with pytest.raises(RemoteError, match="HTTP 400"):
                    score(scorer, asked)
            assert score(scorer, TEXTS[:4]) == pytest.approx([score_of(text) for text in TEXTS[:4]])


def test_a_model_that_reads_lists_is_never_asked_for_parts(score: Any) -> None:
    with scripted_server(lambda request: Answer(right("jina", request))) as server:
        whole = RemoteScorer("jina", "jina-reranker-v3", base_url=server.url, limits=RemoteLimits(batch_items=10))
        assert len(score(whole)) == 10
        with pytest.raises(InvalidInputError, match="11 documents do not fit into one request"):
            score(whole, [*TEXTS, "text 10"])
        assert len(server.requests) == 1


def test_many_calls_at_once_keep_their_own() -> None:
    with scripted_server(lambda request: Answer(right("cohere", request), delay_s=0.01)) as server:
        reranker = Reranker(backend=scorer_at("cohere", server.url))

        async def all_calls() -> list[list[float]]:
            calls = (reranker.ascore([("q", f"text {n}"), ("q", f"text {n + 1}")]) for n in range(40))
            return await asyncio.gather(*calls)

        found = asyncio.run(all_calls())
        assert server.most_at_once == 2
    for number, scores in enumerate(found):
        assert scores == pytest.approx([number / 100, (number + 1) / 100])


def embedder_at(service: str, url: str) -> Embedder:
    return Embedder(backend=RemoteEmbedder(service, "model", base_url=url, http=QUICK, limits=THREE))


@pytest.mark.parametrize("service", EMBEDDERS)
def test_vectors_are_put_together_in_order(service: str) -> None:
    seen: set[str] = set()

    def script(request: Request) -> Answer:
        texts = embedded_texts(service, request.body)
        if texts[0] not in seen:
            seen.add(texts[0])
            return PASSING["429"]
        return Answer(vectors_of(service, [[1.0, score_of(text)] for text in texts]))

    with scripted_server(script) as server:
        embedder = embedder_at(service, server.url)
        for found in (embedder.embed_documents(TEXTS), asyncio.run(embedder.aembed_documents(TEXTS))):
            ratio = found[:, 1] / found[:, 0]
            assert np.allclose(ratio, [score_of(text) for text in TEXTS], atol=1e-6)


@pytest.mark.parametrize("service", EMBEDDERS)
def test_vectors_that_are_too_many_for_one_answer_come_in_several(service: str) -> None:
    """2,048 texts fit into a request, and their vectors not into 16 MB."""

    def answer_to(texts: list[str]) -> Any:
        return vectors_of(service, [[1.0, score_of(text), *[0.123456789] * 98] for text in texts])

    texts, first = [f"text {number}" for number in range(60)], min(30, EMBEDDERS[service].fits.items)
    with scripted_server(lambda request: Answer(answer_to(embedded_texts(service, request.body)))) as server:
        limits = RemoteLimits(batch_items=30, concurrency=1)
        largest = round(0.7 * len(json.dumps(answer_to(texts[:first]))))
        http = HttpSettings(largest_answer_bytes=largest, retries=0)
        backend = RemoteEmbedder(service, "model", base_url=server.url, limits=limits, http=http)
        found = Embedder(backend=backend).embed_documents(texts)
        assert np.allclose(found[:, 1] / found[:, 0], [score_of(text) for text in texts], atol=1e-5)
        sizes = [len(embedded_texts(service, request.body)) for request in server.requests]
        # As many are asked for once, and never again.
        assert sizes == [first, *[first // 2] * (120 // first)]
        n_asked = len(server.requests)
        Embedder(backend=backend).embed_documents(texts)
        assert sum(len(embedded_texts(service, one.body)) for one in server.requests[n_asked:]) == 60


def test_one_vector_that_is_too_large_is_an_error() -> None:
    def script(request: Request) -> Answer:
        return Answer(vectors_of("tei", [[0.5] * 1_000] * len(embedded_texts("tei", request.body))))

    with scripted_server(script) as server:
        http = HttpSettings(largest_answer_bytes=2_000, retries=0)
        backend = RemoteEmbedder("tei", base_url=server.url, http=http)
        with pytest.raises(RemoteError, match=r"more than 2000 bytes.*largest_answer_bytes"):
            Embedder(backend=backend).embed_documents(TEXTS)


def test_lists_that_are_read_together_are_not_asked_for_in_parts_because_of_an_answer() -> None:
    def script(request: Request) -> Answer:
        return Answer({**right("jina", request), "more": "x" * 3_000})

    with scripted_server(script) as server:
        http = HttpSettings(largest_answer_bytes=2_000, retries=0)
        whole = RemoteScorer("jina", "jina-reranker-v3", base_url=server.url, http=http)
        with pytest.raises(RemoteError, match="more than 2000 bytes"):
            Reranker(backend=whole).score([("q", text) for text in TEXTS])
        assert len(server.requests) == 1


WRONG_VECTORS: dict[str, Callable[[int], Any]] = {
    "missing": lambda n: [[1.0, 2.0]] * (n - 1),
    "more": lambda n: [[1.0, 2.0]] * (n + 1),
    "lengths": lambda n: [[1.0] * (index + 1) for index in range(n)],
    "empty": lambda n: [[]] * n,
    "nan": lambda n: [[1.0, float("nan")]] * n,
    "too large for float32": lambda n: [[1.0, 1e300]] * n,
    "huge": lambda n: [[1.0, 10**400]] * n,
    "text": lambda n: ["no base64!"] * n,
    "bytes": lambda n: ["AAA="] * n,
    "true": lambda n: [[True, 1.0]] * n,
    "null": lambda n: [None] * n,
}


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("service", EMBEDDERS)
@pytest.mark.parametrize("wrong", WRONG_VECTORS)
def test_vectors_that_are_none_are_errors(service: str, wrong: str) -> None:
    def script(request: Request) -> Answer:
        return Answer(vectors_of(service, WRONG_VECTORS[wrong](len(embedded_texts(service, request.body)))))

    with scripted_server(script) as server, pytest.raises(RemoteError, match=f"{service} answered with"):
        embedder_at(service, server.url).embed_documents(TEXTS[:3])
