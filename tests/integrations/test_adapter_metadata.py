"""Both frameworks write the same keys with the same values, each beside its own law for the score."""

from __future__ import annotations

from typing import Any

import pytest
import tiny_checkpoints

pytest.importorskip("llama_index.core")
pytest.importorskip("langchain_core")

import langchain_rerank_plugins as lc
import llama_index.postprocessor.rerank_plugins as li
from langchain_core.documents import Document
from llama_index.core.schema import NodeWithScore, TextNode

from rerank_plugins import Reranker
from rerank_plugins.testing import standstill

QUERY = "What do pandas eat?"
TEXTS = [*tiny_checkpoints.SENTENCES[:2], " ".join(tiny_checkpoints.SENTENCES * 6), " "]


@pytest.fixture(scope="module")
def reranker(tmp_path_factory: pytest.TempPathFactory) -> Reranker:
    folder = tiny_checkpoints.bert_reranker(tmp_path_factory.mktemp("metadata") / "reranker")
    return Reranker(folder, device="cpu", long_documents="maxp")


def results_of(reranker: Reranker, **settings: Any) -> tuple[list[Document], list[NodeWithScore]]:
    documents, nodes = [Document(one) for one in TEXTS], [NodeWithScore(node=TextNode(text=one)) for one in TEXTS]
    compressor = lc.RerankCompressor.from_reranker(reranker, top_n=None, **settings)
    postprocessor = li.RerankPostprocessor.from_reranker(reranker, top_n=None, **settings)
    return compressor.compress_documents(documents, QUERY), postprocessor.postprocess_nodes(nodes, query_str=QUERY)


@pytest.mark.parametrize("unit", ["raw", "probability"])
def test_the_same_metadata(reranker: Reranker, unit: str) -> None:
    documents, nodes = results_of(reranker, score_unit=unit)
    windows = 0
    for document, node in zip(documents, nodes, strict=True):
        ours = dict(document.metadata)
        # LangChain's tools look for relevance_score, and relevance_probability is the key of earlier versions.
        assert ours.pop("relevance_score") == pytest.approx(node.score, abs=1e-6)
        assert ours.pop("relevance_probability") == ours["rerank_probability"]
        assert ours.pop("rerank_probability") == pytest.approx(node.metadata.pop("rerank_probability"), abs=1e-6)
        assert ours == node.metadata
        windows += "rerank_window" in ours
    assert windows


def test_the_same_mark_where_nothing_was_reranked(reranker: Reranker) -> None:
    with standstill(reranker):
        documents, nodes = results_of(reranker, deadline_s=0.01)
    assert [one.page_content for one in documents] == TEXTS
    assert [one.metadata for one in documents] == [one.metadata for one in nodes]
    assert [one.metadata for one in documents] == [{"rerank_fallback": "deadline"}] * len(TEXTS)
