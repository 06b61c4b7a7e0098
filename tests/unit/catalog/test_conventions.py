"""Checkpoints that are none of those listed: facts under other names, and what their family agrees on."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from rerank_plugins import SourceOptions
from rerank_plugins.catalog import Instruction, Signature
from rerank_plugins.catalog.checkpoint import read_checkpoint
from rerank_plugins.catalog.recognise import signature_of
from rerank_plugins.catalog.resolve import resolve
from rerank_plugins.errors import UnknownModelError, UnsupportedModelError

T5 = {"model_type": "t5", "architectures": ["T5EncoderModel"], "vocab_size": 32_128, "n_positions": 512}
LARGE = {**T5, "d_model": 1024, "num_layers": 24, "d_ff": 4096}
MISTRAL = {
    "model_type": "mistral",
    "architectures": ["MistralModel"],
    "hidden_size": 4096,
    "num_hidden_layers": 32,
    "vocab_size": 32_003,
    "max_position_embeddings": 32_768,
}


def checkpoint(folder: Path, config: dict[str, Any], **files: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in {"config": config, **files}.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


def test_t5_has_names_of_its_own_for_the_same_facts(tmp_path: Path) -> None:
    found = signature_of(read_checkpoint(checkpoint(tmp_path, LARGE)))
    assert found == Signature(
        model_type="t5",
        hidden_size=1024,
        num_hidden_layers=24,
        vocab_size=32_128,
        max_position_embeddings=512,
        intermediate_size=4096,
    )


@pytest.mark.parametrize(("d_ff", "size"), [(4096, "large"), (16_384, "xl")])
def test_sizes_that_differ_in_one_fact_are_told_apart(tmp_path: Path, d_ff: int, size: str) -> None:
    folder = checkpoint(tmp_path / "renamed", {**LARGE, "d_ff": d_ff})
    assert (
        resolve(folder, kind="embedder", options=SourceOptions(family="instructor")).spec.id
        == f"hkunlp/instructor-{size}"
    )


def test_a_fact_that_is_not_known_does_not_decide(tmp_path: Path) -> None:
    # How many tokens bge-en-icl's vocabulary has was not read anywhere.
    folder = checkpoint(tmp_path / "renamed", MISTRAL)
    assert resolve(folder, kind="embedder", options=SourceOptions(family="bge")).spec.id == "BAAI/bge-en-icl"
    assert resolve(folder, kind="embedder", options=SourceOptions(family="e5")).spec.id == str(folder)
    smaller = checkpoint(tmp_path / "smaller", {**MISTRAL, "hidden_size": 2048})
    assert resolve(smaller, kind="embedder", options=SourceOptions(family="bge")).spec.id == str(smaller)


def test_another_size_gets_what_its_family_agrees_on(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "mine", {**MISTRAL, "hidden_size": 2048})
    spec = resolve(folder, kind="embedder", options=SourceOptions(family="e5")).spec
    assert (spec.pooling, spec.ends_in, spec.normalize, spec.dimensions) == ("last_token", "</s>", True, 2048)
    assert spec.task_template == "Instruct: {task}\nQuery: "
    assert spec.instructions["retrieval"].query.startswith("Instruct: Given a web search query")
    # Linq's half precision is another one, so the default stands; facts about files are nobody else's.
    assert (spec.half_precision, spec.revision, spec.sources, spec.signature) == ("float16", None, {}, None)


def test_a_family_that_disagrees_chooses_nothing_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = {"model_type": "bert", "architectures": ["BertModel"], "hidden_size": 64, "max_position_embeddings": 512}
    folder = checkpoint(tmp_path / "mine", {**config, "num_hidden_layers": 2, "vocab_size": 9})
    with caplog.at_level(logging.WARNING, logger="rerank_plugins"):
        spec = resolve(folder, kind="embedder", options=SourceOptions(family="bge")).spec
    assert (spec.pooling, dict(spec.instructions)) == ("cls", {})
    assert "pass query_instruction" in caplog.text


def test_the_checkpoints_own_files_still_win(tmp_path: Path) -> None:
    prompts = {"prompts": {"query": "Mine: ", "document": ""}}
    folder = checkpoint(tmp_path / "mine", {**MISTRAL, "hidden_size": 2048}, config_sentence_transformers=prompts)
    checkpoint(folder / "1_Pooling", {"pooling_mode_mean_tokens": True})
    spec = resolve(folder, kind="embedder", options=SourceOptions(family="e5")).spec
    assert (spec.pooling, spec.instructions["retrieval"]) == ("mean", Instruction("Mine: "))


@pytest.mark.parametrize("family", [None, "piccolo", "bge"])
def test_without_a_family_of_that_architecture_pooling_is_not_guessed(tmp_path: Path, family: str | None) -> None:
    config = {**MISTRAL, "model_type": "llama", "architectures": ["LlamaModel"]}
    with pytest.raises(UnknownModelError, match=r"1_Pooling/config\.json"):
        resolve(checkpoint(tmp_path / "mine", config), kind="embedder", options=SourceOptions(family=family))


def test_where_the_length_of_a_vector_is_told(tmp_path: Path) -> None:
    assert read_checkpoint(checkpoint(tmp_path / "t5", LARGE)).vector_size == 1024
    assert read_checkpoint(checkpoint(tmp_path / "none", {"model_type": "bert"})).vector_size is None
    kinds = {"Transformer": "", "Pooling": "1_Pooling", "Dense": "2_Dense", "Normalize": "3_Normalize"}
    types = [{"type": f"sentence_transformers.models.{kind}", "path": path} for kind, path in kinds.items()]
    dense = checkpoint(tmp_path / "dense", LARGE, modules=types)
    checkpoint(dense / "2_Dense", {"in_features": 1024, "out_features": 768})
    assert read_checkpoint(dense).vector_size == 768
    static = checkpoint(tmp_path / "static", {"model_type": "model2vec"})
    assert read_checkpoint(static).vector_size is None
    save_file({"embeddings": np.zeros((3, 5), np.float32)}, static / "model.safetensors")
    assert read_checkpoint(static).vector_size == 5
    (static / "model.safetensors").write_bytes(b"\xff" * 40)
    with pytest.raises(UnsupportedModelError, match="could not be read"):
        _ = read_checkpoint(static).vector_size


@pytest.mark.parametrize(
    ("config", "ends_in"),
    [
        ({"add_eos_token": True, "eos_token": "</s>"}, "</s>"),
        ({"add_eos_token": True, "eos_token": {"content": "<eos>", "lstrip": False}}, "<eos>"),
        ({"add_eos_token": False, "eos_token": "</s>"}, ""),
        ({"eos_token": "</s>"}, ""),
        ({"add_eos_token": True}, ""),
    ],
)
def test_the_last_token_that_a_tokenizers_config_asks_for(tmp_path: Path, config: Any, ends_in: str) -> None:
    files = read_checkpoint(checkpoint(tmp_path, MISTRAL, tokenizer_config=config))
    assert files.ends_in == ends_in
