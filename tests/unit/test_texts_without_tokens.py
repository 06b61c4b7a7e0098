"""Embedders whose tokenizer puts no token around a text: an empty text beside others, and alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import transformers
from embedder_checkpoints import qwen3_embedding
from tokenizers import Tokenizer, processors

from rerank_plugins import Embedder
from rerank_plugins.embedding.rows import neutral_vector


def bare(folder: Path, pooling: str) -> Path:
    """Write a decoder of which the tokenizer adds nothing, as those of Llama and Qwen2 often do."""
    qwen3_embedding(folder)
    path = folder / "tokenizer.json"
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    tokenizer.save(str(path))
    (folder / "config_sentence_transformers.json").unlink()
    (folder / "1_Pooling" / "config.json").write_text(
        json.dumps({"word_embedding_dimension": 32, pooling: True}), encoding="utf-8"
    )
    return folder


@pytest.mark.skipif(not hasattr(transformers, "Qwen3Model"), reason="transformers of that time had no Qwen3")
@pytest.mark.parametrize("pooling", ["pooling_mode_lasttoken", "pooling_mode_mean_tokens"])
def test_a_text_without_tokens_has_the_neutral_vector_and_costs_the_others_nothing(
    tmp_path: Path, pooling: str
) -> None:
    with Embedder(bare(tmp_path / "bare", pooling), device="cpu") as embedder:
        found = np.asarray(embedder.embed_documents(["a panda", "", "Paris is a capital"]))
        others = np.asarray(embedder.embed_documents(["a panda", "Paris is a capital"]))
        alone = np.asarray(embedder.embed_queries([""]))
    np.testing.assert_allclose(found[[0, 2]], others, atol=1e-5)
    np.testing.assert_allclose([found[1], alone[0]], [neutral_vector(32)] * 2, atol=1e-6)
