"""Quantised checkpoints, other formats and adapters as a model: the documented error, with the way out."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from rerank_plugins import Embedder, Reranker
from rerank_plugins.errors import UnsupportedModelError


@pytest.fixture
def folder(bert_reranker_folder: Path, tmp_path: Path) -> Path:
    return shutil.copytree(bert_reranker_folder, tmp_path / "checkpoint")


def change_config(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize(
    "settings",
    [
        *({"quant_method": name, "bits": 4} for name in ("gptq", "awq", "bitsandbytes", "torchao", "fp8", "hqq")),
        *({"quant_method": name} for name in ("compressed-tensors", "quanto", "aqlm", "eetq", "mxfp4", "unheard-of")),
        {"load_in_4bit": True},
        ["x"],
    ],
    ids=str,
)
@pytest.mark.parametrize("key", ["quantization_config", "compression_config"])
def test_a_config_that_says_so(folder: Path, settings: object, key: str) -> None:
    change_config(folder, **{key: settings})
    with pytest.raises(UnsupportedModelError, match=r"is quantised.*Use the checkpoint that it was made from"):
        Reranker(folder)


@pytest.mark.parametrize(
    ("old", "extra"),
    [
        ("weight", {"qweight": torch.int32, "qzeros": torch.int32, "scales": torch.float16, "g_idx": torch.int32}),
        ("weight", {"weight": torch.uint8, "weight.absmax": torch.float32, "weight.quant_map": torch.float32}),
        ("weight", {"weight": torch.int8, "SCB": torch.float32}),
        ("weight", {"weight_packed": torch.int32, "weight_scale": torch.float16, "weight_shape": torch.int64}),
        ("weight", {"weight": torch.float8_e4m3fn, "weight_scale_inv": torch.float32}),
        ("weight", {"weight": torch.float8_e5m2}),
        ("weight", {"weight._data": torch.int8, "weight._scale": torch.float32}),
        ("weight", {"W_q": torch.uint8, "meta": torch.uint8}),
        ("weight", {"weight": torch.int8}),
        ("weight", {"weight": torch.uint8}),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, dict) else "",
)
def test_tensors_that_say_so(folder: Path, old: str, extra: dict[str, torch.dtype]) -> None:
    module = "bert.encoder.layer.0.attention.self.query"
    weights = load_file(str(folder / "model.safetensors"))
    whole = weights.pop(f"{module}.{old}")
    for name, dtype in extra.items():
        weights[f"{module}.{name}"] = torch.zeros(whole.shape, dtype=dtype)
    save_file(weights, str(folder / "model.safetensors"), {"format": "pt"})
    with pytest.raises(UnsupportedModelError, match=r"is quantised"):
        Reranker(folder)


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("model-Q4_K_M.gguf", "GGUF"),
        ("model.onnx", "ONNX"),
        ("onnx/model_quantized.onnx", "ONNX"),
        ("openvino/openvino_model.xml", "OpenVINO"),
        ("openvino_model.xml", "OpenVINO"),
        ("tf_model.h5", "TensorFlow"),
        ("flax_model.msgpack", "Flax"),
    ],
)
@pytest.mark.parametrize("has_config", [True, False])
def test_other_formats(folder: Path, file: str, name: str, *, has_config: bool) -> None:
    (folder / "model.safetensors").unlink()
    if not has_config:
        (folder / "config.json").unlink()
    (folder / file).parent.mkdir(exist_ok=True)
    (folder / file).write_bytes(b"GGUF")
    with pytest.raises(UnsupportedModelError, match=rf"weights as {name} only.*model.safetensors"):
        Reranker(folder)


@pytest.mark.parametrize("has_model", [True, False])
@pytest.mark.parametrize("kind", [Reranker, Embedder])
def test_an_adapter_as_the_model(folder: Path, kind: type[Reranker] | type[Embedder], *, has_model: bool) -> None:
    (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "someone/else"}))
    if not has_model:
        (folder / "config.json").unlink()
        (folder / "model.safetensors").rename(folder / "adapter_model.safetensors")
    with pytest.raises(UnsupportedModelError, match=r"PEFT adapter.*peft_path=folder"):
        kind(folder)
