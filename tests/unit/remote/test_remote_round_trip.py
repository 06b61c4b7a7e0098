"""Every dialect against this package's own server: the numbers are those of the model in this process."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("uvicorn", reason="the extra serve is not installed")

from loopback_server import loopback_server

from rerank_plugins import Embedder, RemoteScorer, Reranker
from rerank_plugins.errors import RemoteError
from rerank_plugins.remote import RemoteLimits
from rerank_plugins.remote.dialects import EMBEDDERS, RERANKERS

KEY = "a-key-of-the-test"
QUERY = "which animal eats bamboo"
TEXTS = [
    "the panda eats bamboo",
    "",
    "a train to the city",
    "大熊猫吃竹子",
    None,
    *(f"text number {n} \ud800" for n in range(60)),
]

PATHS = {"jina": "/v1", "voyage": "/v1", "siliconflow": "/v1", "infinity": "", "openai": "/v1"}
"""What an address ends with where the vendor's own does."""


@pytest.fixture(scope="module")
def address(checkpoints: Path) -> Iterator[str]:
    with loopback_server(checkpoints, keys=(KEY,)) as found:
        yield found


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", KEY)


def name_of(service: str, address: str, model: str) -> str:
    return f"{service}:{address}{PATHS.get(service, '')}#{model}?key_env=TEST_KEY"


@pytest.mark.parametrize("service", RERANKERS)
@pytest.mark.parametrize("ends", ["", "/", "whole"])
def test_scores_are_those_of_the_model_here(service: str, ends: str, address: str, checkpoints: Path) -> None:
    with Reranker(str(checkpoints / "bert-reranker"), device="cpu") as local:
        expected = local.rank(QUERY, TEXTS)
    path = RERANKERS[service].path if ends == "whole" else ends
    with Reranker(f"{service}:{address}{PATHS.get(service, '')}{path}#ranker?key_env=TEST_KEY") as remote:
        for ranking in (remote.rank(QUERY, TEXTS), asyncio.run(remote.arank(QUERY, TEXTS))):
            assert [one.index for one in ranking] == [one.index for one in expected]
            found, wanted = ([one.probability for one in some] for some in (ranking, expected))
            assert found == pytest.approx(wanted, abs=1e-6)
            if RERANKERS[service].scale == "logit":
                assert [one.score for one in ranking] == pytest.approx([one.score for one in expected], abs=1e-6)
            assert ranking.usage is not None
            assert ranking.usage.remote is not None
            assert ranking.usage.remote.requests == (2 if service == "tei" else 1)


@pytest.mark.parametrize("service", ["tei", "vllm", "infinity", "rerank-plugins"])
@pytest.mark.parametrize("scores", ["logit", "probability"])
def test_scores_are_what_was_asked_for(service: str, scores: str, address: str, checkpoints: Path) -> None:
    local = Reranker(str(checkpoints / "bert-reranker"), device="cpu")
    remote = Reranker(f"{name_of(service, address, 'ranker')}&scores={scores}")
    assert remote.spec.score_scale == scores
    expected, found = local.rank(QUERY, TEXTS[:3]), remote.rank(QUERY, TEXTS[:3])
    assert [one.probability for one in found] == pytest.approx([one.probability for one in expected], abs=1e-6)
    if scores == "logit":
        assert [one.score for one in found] == pytest.approx([one.score for one in expected], abs=1e-6)


@pytest.mark.parametrize("service", EMBEDDERS)
def test_vectors_are_those_of_the_model_here(service: str, address: str, checkpoints: Path) -> None:
    texts = [text for text in TEXTS if text is not None]
    local = Embedder(str(checkpoints / "bert-embedder"), device="cpu")
    queries, documents = local.embed_queries(texts[:3]), local.embed_documents(texts)
    with Embedder(name_of(service, address, "vectors")) as remote:
        found = remote.embed_documents(texts)
        assert found.dtype == np.float32
        assert np.abs(found - documents).max() < 1e-6
        assert np.abs(asyncio.run(remote.aembed_documents(texts)) - documents).max() < 1e-6
        asked = np.abs(remote.embed_queries(texts[:3]) - queries).max()
    knows_queries = service in ("cohere", "jina", "voyage", "rerank-plugins")
    same = np.abs(queries - documents[:3]).max() < 1e-6
    assert asked < 1e-6 or not (knows_queries or same)


def test_a_limit_of_the_server_is_learnt(checkpoints: Path) -> None:
    with loopback_server(checkpoints, max_documents=7) as address:
        scorer = RemoteScorer("tei", base_url=address, limits=RemoteLimits(batch_items=20))
        local = Reranker(str(checkpoints / "bert-reranker"), device="cpu")
        pairs: Any = [(QUERY, f"text number {n}") for n in range(45)]
        for n_requests in (3 + 3 + 1, 7):
            remote = Reranker(backend=scorer)
            # Batches of another size: a row may differ in the last bits of float32, as in process too.
            assert remote.score(pairs) == pytest.approx(local.score(pairs), abs=1e-5)
            ranking = remote.rank(QUERY, [text for _, text in pairs])
            assert ranking.usage is not None
            assert ranking.usage.remote is not None
            assert ranking.usage.remote.requests == 7, n_requests


def test_a_wrong_key_is_an_error_that_does_not_show_it(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", "sk-wrong-key")
    for service in RERANKERS:
        with pytest.raises(RemoteError, match="HTTP 401") as caught:
            Reranker(name_of(service, address, "ranker")).rank(QUERY, ["a text"])
        assert not caught.value.is_passing
        assert "sk-wrong-key" not in repr(caught.value)
