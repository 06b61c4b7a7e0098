"""Both frameworks in one process: one copy of the weights, the same order, the same scores."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny_checkpoints
import torch
from safetensors.torch import load_file, save_file

from rerank_plugins import Reranker, SourceOptions
from rerank_plugins.weights import loading


def test_both_adapters_and_the_core_share_one_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    llama_schema = pytest.importorskip("llama_index.core.schema")
    documents_module = pytest.importorskip("langchain_core.documents")
    from langchain_rerank_plugins import RerankCompressor
    from llama_index.postprocessor.rerank_plugins import RerankPostprocessor

    folder = tiny_checkpoints.bert_reranker(tmp_path / "shared-by-all")
    loads = []
    original = loading.load_model

    def counted(*arguments: object) -> object:
        loads.append(1)
        return original(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(loading, "load_model", counted)
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


def test_a_lora_adapter_reaches_the_core_from_both_frameworks(tmp_path: Path) -> None:
    llama_schema = pytest.importorskip("llama_index.core.schema")
    documents_module = pytest.importorskip("langchain_core.documents")
    from langchain_rerank_plugins import RerankCompressor
    from llama_index.postprocessor.rerank_plugins import RerankPostprocessor

    folder = tiny_checkpoints.bert_reranker(tmp_path / "base")
    weight = load_file(str(folder / "model.safetensors"))["bert.encoder.layer.0.attention.self.query.weight"]
    name = "base_model.model.bert.encoder.layer.0.attention.self.query.lora_"
    tensors = {
        f"{name}A.weight": torch.linspace(-1, 1, weight.shape[1]).unsqueeze(0),
        f"{name}B.weight": weight[:, :1].contiguous(),
    }
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    save_file(tensors, str(adapter / "adapter_model.safetensors"), {"format": "pt"})
    (adapter / "adapter_config.json").write_text('{"peft_type": "LORA", "r": 1, "lora_alpha": 2}', encoding="utf-8")
    texts, query = tiny_checkpoints.SENTENCES, "What do pandas eat?"
    core = Reranker(folder, device="cpu", source=SourceOptions(peft_path=adapter))
    expected = [one.score for one in core.rank(query, texts)]
    assert expected != pytest.approx([one.score for one in Reranker(folder, device="cpu").rank(query, texts)], abs=1e-3)
    options = {"model": str(folder), "device": "cpu", "top_n": None, "peft_path": str(adapter)}
    nodes = [llama_schema.NodeWithScore(node=llama_schema.TextNode(text=text)) for text in texts]
    found = RerankPostprocessor(**options).postprocess_nodes(nodes, query_str=query)
    assert [node.score for node in found] == pytest.approx(expected, abs=1e-5)
    documents = [documents_module.Document(page_content=text) for text in texts]
    compressed = RerankCompressor(**options).compress_documents(documents, query)
    assert [one.metadata["relevance_score"] for one in compressed] == pytest.approx(expected, abs=1e-5)
    for kind in (RerankPostprocessor, RerankCompressor):
        assert kind.from_reranker(core).peft_path == str(adapter)
