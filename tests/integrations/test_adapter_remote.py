"""Services in both adapters by their names alone: conformance, embeddings, and services that do not answer."""

from __future__ import annotations

import asyncio
import json
import pickle
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("llama_index.core")
pytest.importorskip("langchain_core")
pytest.importorskip("uvicorn", reason="the extra serve is not installed")

import langchain_rerank_plugins as lc
import llama_index.embeddings.rerank_plugins as li_embeddings
import llama_index.postprocessor.rerank_plugins as li
from langchain_core.documents import Document
from llama_index.core.schema import NodeWithScore, TextNode
from loopback_server import loopback_server
from rerank_plugins_testing.langchain import ALL_FEATURES, CompressorConformance
from rerank_plugins_testing.llamaindex import (
    ConcurrencyConformance,
    EmbeddingConformance,
    ResultConformance,
    SettingsConformance,
    TracingConformance,
)
from scripted_server import Answer, scripted_server

from rerank_plugins import Embedder, Reranker
from rerank_plugins.errors import RemoteError, RemoteUnavailableError
from rerank_plugins.remote import http as http_module

QUERY, TEXTS = "what do pandas eat", ["a red fox", "pandas eat", "pandas"]
CANARY = "sk-canary-of-the-test"


@pytest.fixture(scope="module")
def address(checkpoints: Path) -> Iterator[str]:
    with loopback_server(checkpoints) as found:
        yield found


class TestPostprocessor(ResultConformance, TracingConformance, ConcurrencyConformance, SettingsConformance):
    """Without the suite of deadlines, which stops a model in this process; they are tested below."""

    @pytest.fixture
    def make(self, address: str) -> Any:
        return partial(li.BgeRerankPostprocessor, model=f"rerank-plugins:{address}#ranker", long_documents="maxp")


class TestEmbedding(EmbeddingConformance):
    @pytest.fixture
    def make(self, address: str) -> Any:
        return partial(li_embeddings.InstructionEmbedding, model_name=f"rerank-plugins:{address}#vectors")


class TestCompressor(CompressorConformance):
    @pytest.fixture(autouse=True)
    def _address(self, address: str) -> None:
        self.address = address

    @property
    def compressor_class(self) -> Any:
        return lc.BgeRerankCompressor

    @property
    def compressor_params(self) -> dict[str, Any]:
        return {"model": f"tei:{self.address}"}

    @property
    def features(self) -> frozenset[str]:
        return ALL_FEATURES - {"deadlines"}


def ranked(adapter: Any) -> list[tuple[str, Any, Any]]:
    if hasattr(adapter, "compress_documents"):
        found = adapter.compress_documents([Document(one) for one in TEXTS], QUERY)
        return [(one.page_content, one.metadata.get("relevance_score"), one.metadata) for one in found]
    nodes = [NodeWithScore(node=TextNode(text=one)) for one in TEXTS]
    return [(one.text, one.score, one.node.metadata) for one in adapter.postprocess_nodes(nodes, query_str=QUERY)]


CLASSES = [lc.BgeRerankCompressor, lc.RerankCompressor, li.BgeRerankPostprocessor, li.RerankPostprocessor]


@pytest.mark.parametrize("owner", CLASSES)
def test_a_name_is_all_that_differs(owner: Any, address: str, checkpoints: Path) -> None:
    local = owner(model=str(checkpoints / "bert-reranker"), device="cpu", top_n=2)
    remote = owner(model=f"tei:{address}", top_n=2)
    expected, found = ranked(local), ranked(remote)
    assert [text for text, _, _ in found] == [text for text, _, _ in expected]
    assert [score for _, score, _ in found] == pytest.approx([score for _, score, _ in expected], abs=1e-6)
    again = pickle.loads(pickle.dumps(remote))
    assert ranked(again) == found
    assert ranked(owner(**json.loads(json.dumps(remote.model_dump(mode="json"))))) == found


@pytest.mark.parametrize("owner", CLASSES)
def test_options_of_local_models_are_refused(owner: Any, address: str) -> None:
    with pytest.raises(ValueError, match=r"device='cuda'.*Leave them out"):
        owner(model=f"cohere:{address}#ranker", device="cuda")


@pytest.mark.parametrize("owner", CLASSES)
@pytest.mark.parametrize(("status", "reason"), [(429, "overloaded"), (503, "unavailable")])
def test_a_service_that_does_not_answer_leaves_the_retrieval_order(
    owner: Any, status: int, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_module, "_FIRST_PAUSE_S", 0.01)
    monkeypatch.setenv("CANARY_KEY", CANARY)
    with scripted_server([Answer({"message": CANARY}, status=status)]) as server:
        made = owner(model=f"cohere:{server.url}#m?key_env=CANARY_KEY", top_n=2)
        found = ranked(made)
        assert [text for text, _, _ in found] == TEXTS[:2]
        assert [metadata["rerank_fallback"] for _, _, metadata in found] == [reason] * 2
        with pytest.raises(RemoteUnavailableError):
            ranked(made.with_settings(on_deadline="raise"))
        shown = [repr(made), str(made.model_dump()), pickle.dumps(made).decode("latin-1")]
        assert not [one for one in shown if CANARY in one]


@pytest.mark.parametrize("owner", CLASSES)
def test_a_wrong_key_is_an_error(owner: Any) -> None:
    answer = Answer({"message": "invalid api token"}, status=401)
    with scripted_server([answer]) as server, pytest.raises(RemoteError, match="HTTP 401: invalid api token"):
        ranked(owner(model=f"cohere:{server.url}#m"))


@pytest.mark.parametrize("owner", CLASSES)
def test_a_slow_service_leaves_the_retrieval_order(owner: Any) -> None:
    with scripted_server([Answer({}, delay_s=30.0)]) as server:
        found = ranked(owner(model=f"cohere:{server.url}#m", deadline_s=0.2))
    assert [(text, metadata["rerank_fallback"]) for text, _, metadata in found] == [(one, "deadline") for one in TEXTS]


@pytest.mark.parametrize("service", ["rerank-plugins", "cohere", "tei"])
def test_embeddings_of_both_frameworks(service: str, address: str, checkpoints: Path) -> None:
    name = f"{service}:{address}#vectors"
    local = Embedder(str(checkpoints / "bert-embedder"), device="cpu")
    ours: Any = lc.InstructionEmbeddings(model=name)
    theirs: Any = li_embeddings.InstructionEmbedding(model_name=name)
    expected = local.embed_documents(TEXTS).tolist()
    for found in (
        ours.embed_documents(TEXTS),
        asyncio.run(ours.aembed_documents(TEXTS)),
        theirs.get_text_embedding_batch(TEXTS),
        asyncio.run(theirs.aget_text_embedding_batch(TEXTS)),
    ):
        assert [value for row in found for value in row] == pytest.approx(
            [value for row in expected for value in row], abs=1e-6
        )
    assert ours.embed_query(QUERY) == pytest.approx(local.embed_queries([QUERY])[0].tolist(), abs=1e-6)
    assert Reranker(f"tei:{address}").rank(QUERY, TEXTS)[0].document in TEXTS
