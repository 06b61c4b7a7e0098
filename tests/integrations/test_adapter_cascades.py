"""A cascade in both frameworks: by name and passed, stored and pickled, and each result says which stage placed it."""

from __future__ import annotations

import pickle
from dataclasses import asdict
from typing import Any

import pytest
from chat_models import OracleChat

pytest.importorskip("llama_index.core")
pytest.importorskip("langchain_core")

import langchain_rerank_plugins as lc
import llama_index.postprocessor.rerank_plugins as li
from langchain_core.documents import Document
from llama_index.core.schema import NodeWithScore, TextNode

from rerank_plugins import Cascade, ChatScorer
from rerank_plugins.backends import named
from rerank_plugins.composed.first_looks import open_cosine
from rerank_plugins.composed.members import Stage
from rerank_plugins.composed.named import open_cascade
from rerank_plugins.errors import InvalidInputError

QUERY = "capital of France"
TEXTS = ["Berlin", "Paris is the capital.", "The capital of France is Paris.", "rivers run", " "]
OWNERS = [lc.RerankCompressor, li.RerankPostprocessor]


@pytest.fixture(autouse=True)
def names(monkeypatch: pytest.MonkeyPatch) -> None:
    openers = {("reranker", "cascade"): open_cascade, ("reranker", "cosine"): open_cosine}
    monkeypatch.setattr(named, "_OPENERS", {**named._OPENERS, **openers})


def found_by(adapter: Any) -> list[tuple[str, float, str | None]]:
    if hasattr(adapter, "compress_documents"):
        found = adapter.compress_documents([Document(one) for one in TEXTS], QUERY)
        return [(one.page_content, one.metadata["relevance_score"], one.metadata.get("rerank_stage")) for one in found]
    nodes = [NodeWithScore(node=TextNode(text=one)) for one in TEXTS]
    ranked = adapter.postprocess_nodes(nodes, query_str=QUERY)
    return [(one.text, one.score, one.metadata.get("rerank_stage")) for one in ranked]


@pytest.mark.parametrize("owner", OWNERS)
def test_by_name_and_passed(owner: Any) -> None:
    name = "cascade:cosine:mini@3,mini@2,60000ms"
    with Cascade([("cosine:mini", 3), ("mini", 2)], budget_ms=60_000) as cascade:
        passed = owner.from_reranker(cascade, top_n=None)
        opened = owner(model=name, top_n=None)
        expected = [
            (one.document, one.score, one.stages[-1].name if one.stages else None) for one in cascade.rank(QUERY, TEXTS)
        ]
        assert found_by(passed) == found_by(opened) == expected
        assert [stage for _, _, stage in expected] == ["mini", "mini", "cosine:mini", None, None]
        assert passed.model_dump()["model"] == name
        assert found_by(pickle.loads(pickle.dumps(passed))) == found_by(pickle.loads(pickle.dumps(opened))) == expected
        assert [one[0] for one in found_by(passed.with_settings(threshold=0.5))] == [TEXTS[2], TEXTS[1]]


@pytest.mark.parametrize("owner", OWNERS)
def test_what_no_name_says_is_pickled_and_not_stored(owner: Any) -> None:
    with Cascade([Stage("mini", 3, options={"max_length": 64})]) as cascade:
        adapter = owner.from_reranker(cascade)
        with pytest.raises(InvalidInputError, match="cannot be stored"):
            adapter.model_dump()
        assert found_by(pickle.loads(pickle.dumps(adapter))) == found_by(adapter)


@pytest.mark.parametrize("after", [None, {"best_at_both_ends": True}])
@pytest.mark.parametrize("owner", OWNERS)
def test_each_result_says_what_the_chat_model_of_a_stage_was_asked(owner: Any, after: Any) -> None:
    with Cascade([("bm25", 4), (ChatScorer(OracleChat()), 3)]) as cascade:
        usage = cascade.rank(QUERY, TEXTS).usage
        assert usage is not None
        assert usage.chat is not None
        assert usage.chat.calls == 1
        found = metadata_by(owner.from_reranker(cascade, top_n=None, after=after))
    assert [one["rerank_chat"] for one in found] == [asdict(usage.chat)] * len(TEXTS)
    again = metadata_by(owner(model="bm25", top_n=2), found)
    assert [one.get("rerank_chat") for one in again] == [None, None]


def metadata_by(adapter: Any, given: list[dict[str, Any]] | None = None) -> list[dict[str, Any]]:
    both = zip(TEXTS, given or [{}] * len(TEXTS), strict=True)
    if hasattr(adapter, "compress_documents"):
        documents = [Document(text, metadata=dict(metadata)) for text, metadata in both]
        return [one.metadata for one in adapter.compress_documents(documents, QUERY)]
    nodes = [NodeWithScore(node=TextNode(text=text, metadata=dict(metadata))) for text, metadata in both]
    return [one.metadata for one in adapter.postprocess_nodes(nodes, query_str=QUERY)]
