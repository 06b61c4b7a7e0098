"""Both frameworks in one process: one copy of the weights, the same order, the same scores."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny_checkpoints

from rerank_plugins import Reranker
from rerank_plugins.scorers import cross_encoder


def test_both_adapters_and_the_core_share_one_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    llama_schema = pytest.importorskip("llama_index.core.schema")
    documents_module = pytest.importorskip("langchain_core.documents")
    from langchain_rerank_plugins import RerankCompressor
    from llama_index.postprocessor.rerank_plugins import RerankPostprocessor

    folder = tiny_checkpoints.bert_reranker(tmp_path / "shared-by-all")
    loads = []
    original = cross_encoder.load_model

    def counted(*arguments: object) -> object:
        loads.append(1)
        return original(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(cross_encoder, "load_model", counted)
    texts, query = tiny_checkpoints.SENTENCES, "What do pandas eat?"
    core = Reranker(folder, device="cpu").rank(query, texts, top_n=3)
    nodes = [llama_schema.NodeWithScore(node=llama_schema.TextNode(text=text)) for text in texts]
    reranked = RerankPostprocessor(model=str(folder), device="cpu", top_n=3).postprocess_nodes(nodes, query_str=query)
    documents = [documents_module.Document(page_content=text) for text in texts]
    compressed = RerankCompressor(model=str(folder), device="cpu", top_n=3).compress_documents(documents, query)
    assert sum(loads) == 1
    assert [one.document for one in core] == [node.node.get_content() for node in reranked]
    assert [one.document for one in core] == [document.page_content for document in compressed]
    expected = pytest.approx([one.score for one in core], abs=1e-5)
    assert [node.score for node in reranked] == expected
    assert [document.metadata["relevance_score"] for document in compressed] == expected
