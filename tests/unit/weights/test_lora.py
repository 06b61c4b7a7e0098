"""LoRA adapters: merged as peft merges them, part of what weights are shared by, refused where they mean more."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_checkpoints
import tiny_rerankers
import torch
import transformers
from llm_checkpoints import llm_checkpoint
from safetensors.torch import load_file, save_file

from rerank_plugins import LayerOptions, Reranker, SourceOptions
from rerank_plugins.calibration import fit_calibration
from rerank_plugins.catalog.lora_files import read_lora_files
from rerank_plugins.errors import InvalidInputError, ModelUnavailableError, UnsafeModelError, UnsupportedModelError
from rerank_plugins.weights.lora import merge_lora, names_stored_as_in_out

PAIRS = [("What do pandas eat?", text) for text in tiny_checkpoints.SENTENCES]


def write_adapter(folder: Path, tensors: dict[str, torch.Tensor], **config: object) -> Path:
    folder.mkdir(parents=True)
    content = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["q_proj"], **config}
    (folder / "adapter_config.json").write_text(json.dumps(content), encoding="utf-8")
    save_file(tensors, str(folder / "adapter_model.safetensors"), {"format": "pt"})
    return folder


def matrices(
    module: str, *, rank: int = 2, rows: int = 3, columns: int = 4, suffix: str = ""
) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    prefix = f"base_model.model.{module}.lora_"
    return {
        f"{prefix}{suffix}A{'' if suffix else '.weight'}": torch.randn(rank, columns, generator=generator),
        f"{prefix}{suffix}B{'' if suffix else '.weight'}": torch.randn(rows, rank, generator=generator),
    }


def merged(tmp_path: Path, tensors: dict[str, torch.Tensor], shape: tuple[int, int], **config: object) -> torch.Tensor:
    weights = {"layers.0.q_proj.weight": torch.zeros(shape)}
    merge_lora(weights, read_lora_files(write_adapter(tmp_path / "adapter", tensors, **config)))
    return weights["layers.0.q_proj.weight"]


def test_by_hand(tmp_path: Path) -> None:
    # rank 1, alpha 4: 4 / 1 * [[1], [2]] [[3, 5]] = [[12, 20], [24, 40]]
    key = "base_model.model.model.layers.0.q_proj.lora_"
    tensors = {f"{key}A.weight": torch.tensor([[3.0, 5.0]]), f"{key}B.weight": torch.tensor([[1.0], [2.0]])}
    assert merged(tmp_path, tensors, (2, 2)).tolist() == [[12.0, 20.0], [24.0, 40.0]]


@pytest.mark.parametrize(
    ("config", "scale"),
    [
        ({}, 2.0),
        ({"use_rslora": True}, 4 / 2**0.5),
        ({"alpha_pattern": {"layers.0.q_proj": 10}}, 5.0),
        ({"alpha_pattern": {"k_proj": 10}}, 2.0),
        # An anchor takes the whole name, of which the end is not enough.
        ({"alpha_pattern": {"^model.layers.0.q_proj": 10}}, 5.0),
        ({"alpha_pattern": {"^q_proj": 10}}, 2.0),
        ({"alpha_pattern": {"^layers.0.q_proj": 10, "q_proj": 6}}, 3.0),
    ],
)
def test_scales(tmp_path: Path, config: dict[str, Any], scale: float) -> None:
    tensors = matrices("model.layers.0.q_proj")
    a, b = tensors.values()
    assert torch.allclose(merged(tmp_path, tensors, (3, 4), **config), scale * b @ a)


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"use_rslora": True},
        {"alpha_pattern": {"q_proj": 3}},
        {"alpha_pattern": {"^layers.0.q_proj": 3}},
        {"alpha_pattern": {"0.q_proj": 3, "q_proj": 5}},
        {"alpha_pattern": {"^q_proj": 3, "layers.*.q_proj": 5}},
        {"alpha_pattern": {"_proj": 3}},
    ],
    ids=str,
)
def test_live_against_peft(tmp_path: Path, config: dict[str, Any]) -> None:
    peft = pytest.importorskip("peft")
    torch.manual_seed(7)
    attention = {name: torch.nn.Linear(4, 4, bias=False) for name in ("q_proj", "v_proj")}
    layers = torch.nn.ModuleList(
        [torch.nn.ModuleDict(attention), torch.nn.ModuleDict({"q_proj": torch.nn.Linear(4, 3)})]
    )
    base = torch.nn.ModuleDict({"layers": layers})
    ours = copy.deepcopy(base)
    options = {"r": 2, "lora_alpha": 4, "target_modules": ["q_proj", "v_proj"], "init_lora_weights": False}
    model = peft.get_peft_model(base, peft.LoraConfig(**options, **config))
    model.save_pretrained(tmp_path / "adapter")
    theirs = model.merge_and_unload()
    weights = dict(ours.named_parameters())
    merge_lora(weights, read_lora_files(tmp_path / "adapter"))
    for name, weight in theirs.named_parameters():
        assert torch.allclose(weights[name], weight, rtol=0, atol=1e-6), name


@pytest.mark.parametrize("flag", [True, False], ids=str)
@pytest.mark.parametrize("kind", ["Linear", "Conv1D"])
@pytest.mark.filterwarnings("ignore:fan_in_fan_out")
def test_the_layer_says_how_its_weights_are_stored_and_not_the_adapter(
    tmp_path: Path, kind: str, *, flag: bool
) -> None:
    peft = pytest.importorskip("peft")
    torch.manual_seed(7)
    layer = torch.nn.Linear(4, 4) if kind == "Linear" else transformers.pytorch_utils.Conv1D(4, 4)
    base = torch.nn.ModuleDict({"q_proj": layer})
    ours = copy.deepcopy(base)
    options = {"r": 2, "lora_alpha": 4, "target_modules": ["q_proj"], "init_lora_weights": False}
    model = peft.get_peft_model(base, peft.LoraConfig(**options))
    model.save_pretrained(tmp_path / "adapter")
    path = tmp_path / "adapter" / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "fan_in_fan_out": flag}), encoding="utf-8")
    again = peft.PeftModel.from_pretrained(copy.deepcopy(ours), tmp_path / "adapter").merge_and_unload()
    in_out = names_stored_as_in_out(ours)
    merge_lora(dict(ours.named_parameters()), read_lora_files(tmp_path / "adapter"), stored_as_in_out=in_out)
    assert torch.allclose(ours["q_proj"].weight, again["q_proj"].weight, rtol=0, atol=1e-6)


def test_weights_stored_the_other_way_round(tmp_path: Path) -> None:
    tensors = matrices("model.layers.0.q_proj")
    a, b = tensors.values()
    name = "layers.0.q_proj.weight"
    weights = {name: torch.zeros(4, 3)}
    merge_lora(weights, read_lora_files(write_adapter(tmp_path / "adapter", tensors)), stored_as_in_out={name})
    assert torch.allclose(weights[name], (2.0 * b @ a).T)


def test_embeddings(tmp_path: Path) -> None:
    # peft: lora_embedding_A is (rank, vocabulary), lora_embedding_B is (hidden, rank).
    tensors = matrices("model.layers.0.q_proj", rows=3, columns=4, suffix="embedding_")
    a, b = tensors.values()
    assert torch.allclose(merged(tmp_path, tensors, (4, 3)), (2.0 * b @ a).T)


def test_half_precision_is_rounded_once(tmp_path: Path) -> None:
    tensors = matrices("model.layers.0.q_proj")
    a, b = tensors.values()
    base = torch.randn(3, 4, generator=torch.Generator().manual_seed(6)).bfloat16()
    weights = {"layers.0.q_proj.weight": base.clone()}
    merge_lora(weights, read_lora_files(write_adapter(tmp_path / "adapter", tensors)))
    assert torch.equal(weights["layers.0.q_proj.weight"], (base.float() + 2.0 * b @ a).bfloat16())


@pytest.mark.parametrize(
    ("module", "rows", "reason"),
    [
        ("model.layers.9.q_proj", 3, r"for 1 modules that this model does not have.*layers\.9\.q_proj"),
        ("lm_head", 3, r"Output matrices \(lm_head\) cannot be adapted"),
        ("model.layers.0.q_proj", 5, "do not fit this model"),
    ],
)
def test_what_does_not_fit_changes_nothing(tmp_path: Path, module: str, rows: int, reason: str) -> None:
    weights = {"layers.0.q_proj.weight": torch.zeros(3, 4)}
    adapter = read_lora_files(
        write_adapter(tmp_path / "adapter", {**matrices("model.layers.0.q_proj"), **matrices(module, rows=rows)})
    )
    with pytest.raises(UnsupportedModelError, match=reason):
        merge_lora(weights, adapter)
    assert not weights["layers.0.q_proj.weight"].any()


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"peft_type": "IA3"}, "peft_type='IA3'"),
        ({"use_dora": True}, "use_dora"),
        ({"bias": "all"}, "bias='all'"),
        ({"init_lora_weights": "pissa_niter_4"}, "init_lora_weights='pissa_niter_4'"),
        ({"target_parameters": ["experts"]}, "target_parameters"),
        ({"lora_bias": True, "use_dora": True}, "lora_bias, use_dora"),
    ],
)
def test_more_than_plain_lora_is_refused(tmp_path: Path, config: dict[str, Any], reason: str) -> None:
    folder = write_adapter(tmp_path / "adapter", matrices("model.layers.0.q_proj"), **config)
    with pytest.raises(UnsupportedModelError, match=f"{reason}.*merge_and_unload"):
        read_lora_files(folder)


def test_missing_adapters_say_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for path, reason in (("nowhere", "is not a folder"), ("empty", "has no adapter_config.json")):
        with pytest.raises(ModelUnavailableError, match=reason):
            Reranker(llm_checkpoint("tiny-gemma"), source=SourceOptions(peft_path=tmp_path / path))
    with pytest.raises(InvalidInputError, match="peft_path must be"):
        Reranker(llm_checkpoint("tiny-gemma"), source=SourceOptions(peft_path=" "))
    folder = write_adapter(tmp_path / "adapter", matrices("x"))
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")
    with pytest.raises(UnsafeModelError, match="pickled weights"):
        read_lora_files(folder)
    (folder / "adapter_model.bin").unlink()
    with pytest.raises(ModelUnavailableError, match=r"has no adapter_model\.safetensors"):
        read_lora_files(folder)
    (folder / "adapter_config.json").write_text("{")
    with pytest.raises(UnsupportedModelError, match="not valid JSON"):
        read_lora_files(folder)


def test_an_adapter_without_matrices(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModelError, match="holds no LoRA matrices"):
        merge_lora({}, read_lora_files(write_adapter(tmp_path / "adapter", {})))


def gemma_adapter(tmp_path: Path, name: str = "adapter", *, scale: float = 0.3) -> Path:
    weights = load_file(str(llm_checkpoint("tiny-gemma") / "model.safetensors"))
    generator = torch.Generator().manual_seed(9)
    tensors = {}
    for key, weight in weights.items():
        if key.endswith(("q_proj.weight", "v_proj.weight", "down_proj.weight")):
            module = f"base_model.model.{key.removesuffix('.weight')}"
            tensors[f"{module}.lora_A.weight"] = torch.randn(2, weight.shape[1], generator=generator) * scale
            tensors[f"{module}.lora_B.weight"] = torch.randn(weight.shape[0], 2, generator=generator) * scale
    return write_adapter(tmp_path / name, tensors, target_modules=["q_proj", "v_proj", "down_proj"])


def test_adapters_are_other_weights(tmp_path: Path) -> None:
    folder = llm_checkpoint("tiny-gemma")
    first, second = gemma_adapter(tmp_path), gemma_adapter(tmp_path, "other", scale=0.6)
    with (
        Reranker(folder, device="cpu") as plain,
        Reranker(folder, device="cpu", source=SourceOptions(peft_path=first)) as adapted,
    ):
        before = plain.score(PAIRS)
        changed = adapted.score(PAIRS)
        assert np.abs(np.array(before) - changed).max() > 0.05
        with Reranker(folder, device="cpu", source=SourceOptions(peft_path=str(second))) as other:
            assert np.abs(np.array(other.score(PAIRS)) - changed).max() > 0.05
        with Reranker(folder, device="cpu", source=SourceOptions(peft_path=first)) as same:
            assert same._lease.value is adapted._lease.value
        assert plain.score(PAIRS) == before


def test_a_calibration_belongs_to_its_adapter(tmp_path: Path) -> None:
    base = llm_checkpoint("tiny-gemma")
    adapter = gemma_adapter(tmp_path)
    with Reranker(base, device="cpu", source=SourceOptions(peft_path=adapter)) as adapted:
        fitted = fit_calibration([-1.0, 0.0, 1.0, 2.0], [0, 1, 0, 1], source=adapted.score_source)
    moved = shutil.copytree(adapter, tmp_path / "elsewhere" / adapter.name)
    with Reranker(base, device="cpu", source=SourceOptions(peft_path=moved), calibration=fitted) as reranker:
        assert reranker.calibration == fitted
    with pytest.raises(InvalidInputError, match=r"peft_path='adapter' and is used with peft_path=None"):
        Reranker(base, device="cpu", calibration=fitted)


def test_an_adapter_of_another_model_is_refused(tmp_path: Path) -> None:
    adapter = gemma_adapter(tmp_path)
    with pytest.raises(UnsupportedModelError, match=r"does not have|do not fit"):
        Reranker(tiny_checkpoints.bert_reranker(tmp_path / "bert"), source=SourceOptions(peft_path=adapter))


def test_layerwise_models_and_their_heads(tmp_path: Path) -> None:
    folder = llm_checkpoint("tiny-minicpm-layerwise")
    weights = load_file(str(folder / "model.safetensors"))
    head = "lm_head.0.linear_head"
    query = "model.layers.1.self_attn.q_proj"
    tensors = {
        **matrices(query, rows=weights[f"{query}.weight"].shape[0], columns=weights[f"{query}.weight"].shape[1]),
        f"base_model.model.{head}.weight": weights[f"{head}.weight"] * 2,
    }
    a, b = list(tensors.values())[:2]
    whole = shutil.copytree(folder, tmp_path / "merged")
    weights[f"{query}.weight"] = weights[f"{query}.weight"] + 2.0 * b @ a
    weights[f"{head}.weight"] = weights[f"{head}.weight"] * 2
    save_file(weights, str(whole / "model.safetensors"), {"format": "pt"})
    layers = LayerOptions(cutoff_layers=(2, 6))
    adapter = write_adapter(tmp_path / "adapter", tensors)
    found = Reranker(folder, device="cpu", source=SourceOptions(peft_path=adapter)).score_layers(PAIRS, layers=layers)
    expected = Reranker(whole, device="cpu").score_layers(PAIRS, layers=layers)
    assert np.abs(np.array(found) - expected).max() <= 1e-4
    plain = Reranker(folder, device="cpu").score_layers(PAIRS, layers=layers)
    assert (np.abs(np.array(found) - plain).max(axis=0) > 0.01).all()


PEFT_SETTINGS = [
    {"target_modules": ["q_proj", "v_proj", "gate_proj"]},
    {"target_modules": "all-linear", "use_rslora": True},
    {"target_modules": ["q_proj", "o_proj"], "rank_pattern": {"q_proj": 3}, "alpha_pattern": {"layers.1.*": 9}},
    {"target_modules": ["embed_tokens", "k_proj"]},
    {"target_modules": ["q_proj"], "modules_to_save": ["norm"]},
]


@pytest.mark.parametrize("settings", PEFT_SETTINGS, ids=lambda settings: "-".join(settings))
def test_peft_merges_to_the_same_scores(tmp_path: Path, settings: dict[str, Any]) -> None:
    peft = pytest.importorskip("peft")
    folder = tiny_rerankers.qwen_reranker(tmp_path / "base")
    model = transformers.AutoModelForCausalLM.from_pretrained(folder)
    adapted = peft.get_peft_model(model, peft.LoraConfig(r=4, lora_alpha=6, task_type="CAUSAL_LM", **settings))
    torch.manual_seed(3)
    for name, parameter in adapted.named_parameters():
        if "lora_" in name or "modules_to_save" in name:
            torch.nn.init.normal_(parameter, std=0.2)
    adapted.save_pretrained(tmp_path / "adapter")
    reloaded = transformers.AutoModelForCausalLM.from_pretrained(folder)
    whole = peft.PeftModel.from_pretrained(reloaded, tmp_path / "adapter").merge_and_unload()
    tiny_rerankers.save(whole, tiny_rerankers.qwen_tokenizer(), tmp_path / "merged")
    found = Reranker(folder, device="cpu", source=SourceOptions(family="qwen3", peft_path=tmp_path / "adapter")).score(
        PAIRS
    )
    expected = Reranker(tmp_path / "merged", device="cpu", source=SourceOptions(family="qwen3")).score(PAIRS)
    assert found == pytest.approx(expected, abs=1e-4)
    plain = Reranker(folder, device="cpu", source=SourceOptions(family="qwen3")).score(PAIRS)
    assert np.abs(np.array(found) - plain).max() > 0.01
