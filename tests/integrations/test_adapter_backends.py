"""A backend of somebody else's, passed or registered, serves both adapters as it is."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import pytest

pytest.importorskip("llama_index.core")
pytest.importorskip("langchain_core")

import langchain_rerank_plugins as lc
import llama_index.postprocessor.rerank_plugins as li
from langchain_core.documents import Document
from llama_index.core.schema import NodeWithScore, TextNode

from rerank_plugins import Reranker
from rerank_plugins.backends.named import register_backend
from rerank_plugins.backends.protocol import SimplePairScorer, reranker_spec

QUERY, TEXTS = "what do pandas eat", ["a red fox", "pandas eat", "pandas"]


class WordOverlap(SimplePairScorer):
    spec = reranker_spec("acme/word-overlap", revision="1", license="MIT")

    def score_texts(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        return [float(len(set(query.split()) & set(document.split()))) for query, document in pairs]


def ranked(adapter: Any) -> list[tuple[str, float]]:
    if hasattr(adapter, "compress_documents"):
        found = adapter.compress_documents([Document(one) for one in TEXTS], QUERY)
        return [(one.page_content, one.metadata["relevance_score"]) for one in found]
    nodes = [NodeWithScore(node=TextNode(text=one)) for one in TEXTS]
    return [(one.text, one.score) for one in adapter.postprocess_nodes(nodes, query_str=QUERY)]


@pytest.mark.parametrize("owner", [lc.RerankCompressor, li.RerankPostprocessor])
@pytest.mark.parametrize("is_named", [True, False], ids=["registered", "passed"])
def test_a_backend_in_an_adapter(owner: Any, is_named: bool) -> None:
    if is_named:
        register_backend("adapter-test", lambda _: WordOverlap())
        made = owner(model="adapter-test:words", top_n=2, threshold=0.5, threshold_unit="raw")
    else:
        core = Reranker(backend=WordOverlap())
        made = owner.from_reranker(core, top_n=2, threshold=0.5, threshold_unit="raw")
    assert ranked(made) == [("pandas eat", 2.0), ("pandas", 1.0)]
    assert ranked(made.with_settings(top_n=1)) == [("pandas eat", 2.0)]
    assert copy.deepcopy(made) == made
    with made.using(threshold=1.5):
        assert ranked(made) == [("pandas eat", 2.0)]
