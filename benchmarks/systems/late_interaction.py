"""Late interaction from texts: this project, sentence-transformers and LlamaIndex's ColbertRerank."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from benchmarks.systems.base import OpenRequest, Pairs, SystemSpec, import_peer
from rerank_plugins import Reranker

__all__ = ["LATE_SYSTEMS", "colbert_folder"]

_DTYPE, _DIMENSIONS = "float32", 128
_OURS = "rerank-plugins"


def colbert_folder(request: OpenRequest) -> Path:
    """Return a checkpoint of colbert-ai's format made of an encoder with random weights, written if need be."""
    folder = request.folder.with_name(f"{request.folder.name}-colbert")
    if folder.is_dir():
        return folder
    shutil.copytree(request.folder, folder)
    weights = load_file(folder / "model.safetensors")
    weights = {name if name.startswith("bert.") else f"bert.{name}": one for name, one in weights.items()}
    weights = {name: one for name, one in weights.items() if not name.startswith("bert.classifier.")}
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    generator = torch.Generator().manual_seed(7)
    weights["linear.weight"] = torch.randn(_DIMENSIONS, config["hidden_size"], generator=generator) * 0.05
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    for path, values in (
        (folder / "config.json", {"architectures": ["HF_ColBERT"]}),
        (folder / "tokenizer_config.json", {"mask_token": "[MASK]"}),
    ):
        found = json.loads(path.read_text(encoding="utf-8"))
        path.write_text(json.dumps({**found, **values}), encoding="utf-8")
    settings = {"query_token_id": "[unused0]", "doc_token_id": "[unused1]", "query_maxlen": 32, "doc_maxlen": 300}
    (folder / "artifact.metadata").write_text(json.dumps({**settings, "dim": _DIMENSIONS}), encoding="utf-8")
    return folder


class _Ours:
    def __init__(self, request: OpenRequest) -> None:
        self._reranker = Reranker(colbert_folder(request), device=request.device)

    def score(self, pairs: Pairs) -> list[float]:
        return self._reranker.score(list(pairs))

    def close(self) -> None:
        self._reranker.close()


class _SentenceTransformers:
    def __init__(self, request: OpenRequest) -> None:
        module = import_peer("sentence_transformers", install="pip install 'sentence-transformers>=6.2'")
        self._model: Any = module.MultiVectorEncoder(str(colbert_folder(request)), device=request.device)

    def score(self, pairs: Pairs) -> list[float]:
        query = self._model.encode_query([pairs[0][0]], show_progress_bar=False)
        documents = self._model.encode_document([text for _, text in pairs], show_progress_bar=False)
        return [float(score) for score in self._model.similarity(query, documents)[0]]

    def close(self) -> None:
        self._model = None


class _LlamaIndex:
    def __init__(self, request: OpenRequest) -> None:
        install = "pip install llama-index-postprocessor-colbert-rerank"
        module = import_peer("llama_index.postprocessor.colbert_rerank", install=install)
        self._schema = import_peer("llama_index.core.schema", install="pip install llama-index-core")
        folder = str(colbert_folder(request))
        self._reranker: Any = module.ColbertRerank(top_n=1_000_000, model=folder, tokenizer=folder, device="cpu")

    def score(self, pairs: Pairs) -> list[float]:
        nodes = [
            self._schema.NodeWithScore(node=self._schema.TextNode(text=text, id_=str(place)), score=0.0)
            for place, (_, text) in enumerate(pairs)
        ]
        found = self._reranker.postprocess_nodes(nodes, query_str=pairs[0][0])
        return [one.score for one in sorted(found, key=lambda one: int(one.node.node_id))]

    def close(self) -> None:
        self._reranker = None


LATE_SYSTEMS = (
    SystemSpec(name=_OURS, dtype=_DTYPE, open=_Ours),
    SystemSpec(name="sentence-transformers MultiVectorEncoder", dtype=_DTYPE, open=_SentenceTransformers),
    # Its numbers differ: it never applies the projection.
    SystemSpec(name="LlamaIndex ColbertRerank", dtype="one text at a time", open=_LlamaIndex),
)
"""Ours first: its scores are the reference of the others."""
