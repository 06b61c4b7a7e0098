"""Kinds of hostile checkpoints, one by one: what they claim, what their tokenizer does, what an adapter asks for."""

from __future__ import annotations

import json
import shutil
import struct
from pathlib import Path
from typing import Any

import pytest
import tiny_checkpoints
import tiny_rerankers
import torch
import transformers
from safetensors.torch import load_file, save_file

from rerank_plugins import Embedder, Reranker, SourceOptions
from rerank_plugins.catalog.json_files import MOST_JSON_BYTES, read_object
from rerank_plugins.errors import ModelError, UnsupportedModelError

PAIR = [("panda", "Pandas eat bamboo.")]


@pytest.fixture
def folder(bert_reranker_folder: Path, tmp_path: Path) -> Path:
    return shutil.copytree(bert_reranker_folder, tmp_path / "checkpoint")


def change(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def change_tokenizer(folder: Path, edit: Any) -> None:
    path = folder / "tokenizer.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    edit(content)
    path.write_text(json.dumps(content), encoding="utf-8")


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "claims",
    [
        {"num_hidden_layers": 10**9},
        {"num_hidden_layers": 9_999},
        {"num_hidden_layers": 200, "hidden_size": 4096, "num_attention_heads": 4},
        {"hidden_size": 2**24},
        {"intermediate_size": 2**24},
        {"vocab_size": 2**24},
        {"max_position_embeddings": 2**27},
        {"num_labels": 10**9},
        {"num_attention_heads": 10**9},
        {"hidden_size": 10**400},
        {"hidden_size": True},
        {"hidden_size": "32"},
        {"text_config": {"num_hidden_layers": 10**9}},
    ],
    ids=str,
)
def test_claims_that_the_weights_do_not_bear(folder: Path, claims: dict[str, object]) -> None:
    # A config that is changed to text_config alone still loads: bert has none.
    change(folder / "config.json", **claims)
    with pytest.raises(UnsupportedModelError):
        Reranker(folder)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b'"x"',
        b"3",
        b"{",
        b"\xff\xfe{}",
        b"\xef\xbb\xbf{}",
        b"[" * 100_000,
        b'{"x":' * 200 + b"1" + b"}" * 200,
        b'{"hidden_size": ' + b"9" * 5000 + b"}",
        b" " * (MOST_JSON_BYTES + 1),
    ],
    ids=lambda content: repr(content[:12]),
)
def test_files_that_are_no_objects(folder: Path, content: bytes) -> None:
    (folder / "config.json").write_bytes(content)
    with pytest.raises(UnsupportedModelError, match=r"is not valid JSON of a checkpoint"):
        read_object(folder / "config.json")
    with pytest.raises(UnsupportedModelError):
        Reranker(folder)


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"{",
        b"[]",
        b'{"x": 3}',
        b'{"x": {"dtype": "F32", "shape": [1000000000, 1000], "data_offsets": [0, 4000000000000]}}',
        b'{"x": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}',
        b'{"x": {"dtype": "F32", "shape": "big", "data_offsets": [0, 4]}}',
    ],
)
def test_headers_that_lie(folder: Path, header: bytes) -> None:
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + b"\0" * 8)
    with pytest.raises(UnsupportedModelError):
        Reranker(folder)
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", 2**60) + header)
    with pytest.raises(UnsupportedModelError, match="could not be read"):
        Reranker(folder)


def test_weights_of_another_shape(folder: Path) -> None:
    weights = load_file(str(folder / "model.safetensors"))
    weights["classifier.weight"] = torch.zeros(0, 32)
    save_file(weights, str(folder / "model.safetensors"), {"format": "pt"})
    with pytest.raises(UnsupportedModelError):
        Reranker(folder)


def _more_tokens(content: Any) -> None:
    content["added_tokens"].append({**content["added_tokens"][0], "id": 5000, "content": "<new>", "special": False})
    content["model"]["vocab"]["<new>"] = 5000


def _no_unknown(content: Any) -> None:
    del content["model"]["vocab"]["[UNK]"]
    content["added_tokens"] = [one for one in content["added_tokens"] if one["content"] != "[UNK]"]


def _layout_of_nothing(content: Any) -> None:
    content["post_processor"]["special_tokens"]["[CLS]"]["ids"] = [10**6]


def _endless(content: Any) -> None:
    content["normalizer"] = {"type": "Replace", "pattern": {"Regex": "(x+)+y"}, "content": ""}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("edit", [_more_tokens, _no_unknown, _layout_of_nothing, _endless])
def test_tokenizers_are_refused_at_load(folder: Path, edit: Any) -> None:
    change_tokenizer(folder, edit)
    with pytest.raises(UnsupportedModelError):
        Reranker(folder)


def test_a_static_table_smaller_than_the_vocabulary(tmp_path: Path) -> None:
    mini = pytest.importorskip("rerank_plugins_mini")
    folder = shutil.copytree(mini.embedder_path(), tmp_path / "static")
    weights = load_file(str(folder / "model.safetensors"))
    small = {name: tensor[:100].clone() for name, tensor in weights.items()}
    save_file(small, str(folder / "model.safetensors"))
    with pytest.raises(UnsupportedModelError, match="do not belong together"):
        Embedder(folder)


def test_a_decoder_classifier_without_padding(tmp_path: Path) -> None:
    tokenizer = tiny_checkpoints.wordpiece()
    shape = {**tiny_rerankers._DECODER, "vocab_size": tokenizer.get_vocab_size(), "num_labels": 1}
    torch.manual_seed(1)
    model = transformers.Qwen2ForSequenceClassification(transformers.Qwen2Config(**shape, pad_token_id=0))
    folder = tiny_rerankers.save(model, tokenizer, tmp_path / "decoder", pad_token="[PAD]")
    assert len(Reranker(folder).score([*PAIR, ("a", "of another length")])) == 2
    path = folder / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({name: value for name, value in config.items() if name != "pad_token_id"}))
    with pytest.raises(UnsupportedModelError, match=r"has no pad_token_id"):
        Reranker(folder)


@pytest.mark.parametrize("pad", [10**6, -5, "0", True, 599_999])
def test_padding_tokens_that_do_not_exist(folder: Path, pad: object) -> None:
    change(folder / "config.json", pad_token_id=pad)
    with pytest.raises(UnsupportedModelError):
        Reranker(folder)


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "settings",
    [
        {"alpha_pattern": {"(a+)+$": 4}},
        {"alpha_pattern": {"(.*.*.*.*)*x": 4}},
        {"alpha_pattern": {"q": "4"}},
        {"alpha_pattern": [1]},
        {"lora_alpha": float("nan")},
        {"lora_alpha": "4"},
        {"lora_alpha": 10**400},
        {"use_rslora": "yes"},
        {"peft_type": ["LORA"]},
    ],
    ids=str,
)
def test_adapters(folder: Path, tmp_path: Path, settings: dict[str, object]) -> None:
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    name = "base_model.model.bert.encoder.layer.0.attention.self.query.lora_"
    save_file(
        {f"{name}A.weight": torch.ones(1, 32), f"{name}B.weight": torch.ones(32, 1)},
        str(adapter / "adapter_model.safetensors"),
    )
    content = {"peft_type": "LORA", "lora_alpha": 4, "r": 1}
    (adapter / "adapter_config.json").write_text(json.dumps(content))
    assert Reranker(folder, source=SourceOptions(peft_path=adapter)).score(PAIR)
    (adapter / "adapter_config.json").write_text(json.dumps({**content, **settings}))
    with pytest.raises(ModelError):
        Reranker(folder, source=SourceOptions(peft_path=adapter))


def test_a_small_adapter_that_makes_a_large_matrix(folder: Path, tmp_path: Path) -> None:
    # A product of 10^12 numbers, from a file of 8 MB.
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    name = "base_model.model.bert.encoder.layer.0.attention.self.query.lora_"
    thin = {f"{name}A.weight": torch.ones(1, 10**6), f"{name}B.weight": torch.ones(10**6, 1)}
    save_file(thin, str(adapter / "adapter_model.safetensors"))
    (adapter / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "lora_alpha": 4, "r": 1}))
    with pytest.raises(UnsupportedModelError, match="do not fit this model"):
        Reranker(folder, source=SourceOptions(peft_path=adapter))


def _far_id(content: Any) -> None:
    content["model"]["vocab"]["far"] = 10**9


def _long_token(content: Any) -> None:
    content["model"]["vocab"]["x" * 1_000_000] = content["model"]["vocab"].pop("panda", 5)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("edit", [_far_id, _long_token])
def test_vocabularies_that_nobody_could_build(folder: Path, edit: Any) -> None:
    change_tokenizer(folder, edit)
    with pytest.raises(UnsupportedModelError, match="no real vocabulary does"):
        Reranker(folder)


def test_a_padding_id_below_zero_is_none(tmp_path: Path) -> None:
    # Old configs say so; padding is hidden, whichever token it is.
    folder = tiny_rerankers.deberta_reranker(tmp_path / "deberta")
    pairs = [*PAIR, ("a", "of another length")]
    expected = Reranker(folder).score(pairs)
    copied = shutil.copytree(folder, tmp_path / "copy")
    change(copied / "config.json", pad_token_id=-1)
    assert Reranker(copied).score(pairs) == pytest.approx(expected, abs=1e-5)
