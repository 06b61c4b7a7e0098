"""Every kind of embedder passes the conformance suite: poolings, decoders, T5, three kinds of vectors, static."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import embedder_checkpoints
import pytest
import tiny_checkpoints
import torch
from embedder_conformance import EmbedderConformance
from safetensors.torch import save_file

from rerank_plugins import Embedder, InstructionOptions, QueryExample, QueryVectorCache, SourceOptions, VectorOptions

EXAMPLE = QueryExample(query="who eats bamboo", response="Pandas do.")


def static(folder: Path) -> Path:
    """Write a model2vec checkpoint of 16 dimensions."""
    folder.mkdir()
    tokenizer = tiny_checkpoints.wordpiece()
    torch.manual_seed(27)
    save_file({"embeddings": torch.randn(tokenizer.get_vocab_size(), 16)}, str(folder / "model.safetensors"))
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {"model_type": "model2vec", "normalize": True, "architectures": ["StaticModel"]}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


KINDS: dict[str, tuple[Callable[[Path], Path], dict[str, Any]]] = {
    "cls": (tiny_checkpoints.bert_embedder, {"instruction": InstructionOptions(query="Represent this: ")}),
    "mean": (tiny_checkpoints.xlmr_embedder, {"cache": QueryVectorCache(64)}),
    "mistral": (embedder_checkpoints.e5_mistral, {"source": SourceOptions(family="e5")}),
    "qwen3": (
        embedder_checkpoints.qwen3_embedding,
        {"source": SourceOptions(family="qwen"), "vectors": VectorOptions(dimensions=8), "cache": QueryVectorCache(64)},
    ),
    "examples": (
        embedder_checkpoints.bge_en_icl,
        {"source": SourceOptions(family="bge"), "instruction": InstructionOptions(examples=(EXAMPLE,))},
    ),
    "gemma2": (embedder_checkpoints.bge_multilingual_gemma2, {"source": SourceOptions(family="bge")}),
    "instructor": (embedder_checkpoints.instructor, {"source": SourceOptions(family="instructor")}),
    "tart": (embedder_checkpoints.tart_dual, {"source": SourceOptions(family="tart")}),
    "m3": (embedder_checkpoints.bge_m3, {"source": SourceOptions(family="bge")}),
}
ARCHITECTURES = {"qwen3": "Qwen3-Embedding-0.6B", "gemma2": "bge-multilingual-gemma2"}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    root = tmp_path_factory.mktemp("kinds")

    def folder(kind: str) -> Path:
        if not embedder_checkpoints.available(ARCHITECTURES.get(kind, "")):
            pytest.skip(f"this transformers has no {kind}")
        path = root / kind
        return path if path.is_dir() else KINDS[kind][0](path)

    return folder


@pytest.mark.slow
@pytest.mark.parametrize("kind", list(KINDS), scope="class")
class TestEmbedder(EmbedderConformance):
    @pytest.fixture
    def embedder(self, folders: Callable[[str], Path], kind: str) -> Iterator[Embedder]:
        with Embedder(folders(kind), device="cpu", max_length=128, **KINDS[kind][1]) as opened:
            yield opened


class TestStatic(EmbedderConformance):
    @pytest.fixture
    def embedder(self, tmp_path: Path) -> Iterator[Embedder]:
        with Embedder(static(tmp_path / "static"), device="cpu", max_length=128) as opened:
            yield opened
