"""Adapters: merged before, gone on with, in other models than language models, and where there can be none."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from language_models import KINDS, Kind
from llm_checkpoints import llm_checkpoint
from safetensors.torch import load_file, save_file
from tiny_rerankers import qwen_reranker
from training_rows import rows, tiny_run, write_rows

from rerank_plugins import Reranker, SourceOptions
from rerank_plugins.errors import InvalidInputError, ModelUnavailableError, UnsupportedModelError

pytest.importorskip("accelerate")
pytest.importorskip("ir_measures")
pytest.importorskip("peft")

from rerank_plugins.training import train_reranker
from rerank_plugins.training.preparing import prepare
from rerank_plugins.training.trainable import open_trainable

PAIRS = [(row["query"], text) for row in rows(5, seed=3) for text in (*row["pos"], *row["neg"])]
GEMMA, LAYERWISE = KINDS["gemma"], KINDS["layerwise"]


def run_of(kind: Kind, folder: Path, **changes: Any) -> Any:
    folder.mkdir(exist_ok=True)
    if "dev_data" not in changes:
        changes.setdefault("dev_fraction", 0.0)
    small = {"lora_rank": 4, "learning_rate": 1e-2, "max_steps": 3}
    return tiny_run(changes.pop("model", kind.folder(folder)), folder, **{**small, **kind.settings, **changes})


def adapter_of(kind: Kind, folder: Path, **changes: Any) -> Path:
    result = train_reranker(run_of(kind, folder, **changes))
    assert result is not None
    return result.folder


def scores(model: Path, peft_path: Path | None = None) -> list[float]:
    source = SourceOptions(family="bge", peft_path=peft_path)
    with Reranker(model, device="cpu", source=source) as reranker:
        return reranker.score(PAIRS)


def near(wanted: list[float]) -> Any:
    return pytest.approx(wanted, rel=0.0, abs=1e-5 * max(1.0, *map(abs, wanted)))


@pytest.mark.parametrize("kind", [GEMMA, LAYERWISE], ids=["gemma", "layerwise"])
def test_a_training_goes_on_with_an_adapter(kind: Kind, tmp_path: Path) -> None:
    dev = write_rows(tmp_path / "dev.jsonl", rows(6, seed=2))
    first = adapter_of(kind, tmp_path / "a", lora_alpha=8.0)
    settings = run_of(kind, tmp_path / "b", from_peft=first, dev_data=dev, lora_rank=16)
    result = train_reranker(settings)
    assert result is not None
    base = kind.folder(tmp_path)
    assert scores(base, first) != near(scores(base, result.folder))
    # Rank and scale are the adapter's own, and so is where it starts.
    config = json.loads((result.folder / "adapter_config.json").read_text())
    assert (config["r"], config["lora_alpha"]) == (4, 8.0)
    prepared = prepare(settings, tmp_path / "b")
    start = open_trainable(prepared.resolved, prepared.settings)
    stored, held = load_file(first / "adapter_model.safetensors"), start.module.state_dict()
    assert len(held) == len(stored)
    for name, weight in stored.items():
        key = name.replace("base_model.model.", "network.").replace(".weight", ".default.weight")
        assert torch.equal(held[key], weight)


@pytest.mark.parametrize("use_lora", [True, False], ids=["lora", "whole"])
def test_adapters_are_merged_before_a_training(use_lora: bool, tmp_path: Path) -> None:
    dev = write_rows(tmp_path / "dev.jsonl", rows(6, seed=2))
    first = adapter_of(GEMMA, tmp_path / "a")
    second = adapter_of(GEMMA, tmp_path / "b", seed=3)
    raw = {"raw_peft": (first, second), "use_lora": use_lora, "save_merged_lora_model": use_lora}
    # A step so small that it is none shows where it starts, and what the measures before are of.
    result = train_reranker(run_of(GEMMA, tmp_path / "c", learning_rate=1e-12, dev_data=dev, **raw))
    assert result is not None
    whole = result.folder / ("merged_model" if use_lora else "")
    deltas = [torch.tensor(scores(GEMMA.folder(tmp_path), one)) for one in (first, second)]
    found = torch.tensor(scores(whole))
    assert all((found - one).abs().max() > 1e-3 for one in deltas)
    by_hand = shutil.copytree(GEMMA.folder(tmp_path), tmp_path / "by-hand")
    weights = load_file(by_hand / "model.safetensors")
    for adapter in (first, second):
        stored = load_file(adapter / "adapter_model.safetensors")
        for name in [one for one in stored if "lora_A" in one]:
            product = stored[name.replace("lora_A", "lora_B")] @ stored[name]
            weights[name.removeprefix("base_model.model.").replace("lora_A.", "")] += product * 4
    save_file(weights, by_hand / "model.safetensors", {"format": "pt"})
    assert found.tolist() == near(scores(by_hand))
    assert [one.before for one in result.changes] == pytest.approx([one.after for one in result.changes])


def test_modules_that_are_trained_whole_beside_the_adapter(tmp_path: Path) -> None:
    folder = adapter_of(LAYERWISE, tmp_path, modules_to_save=("linear_head",), target_modules=("q_proj",))
    stored = load_file(folder / "adapter_model.safetensors")
    heads = [name for name in stored if "lm_head" in name]
    assert len(heads) == 5
    before = load_file(LAYERWISE.folder(tmp_path) / "model.safetensors")
    assert all(not torch.equal(stored[name], before[name.removeprefix("base_model.model.")]) for name in heads)
    assert all("q_proj" in name for name in stored if name not in heads)


def test_a_cross_encoder_gets_an_adapter_if_asked(bert_reranker_folder: Path, tmp_path: Path) -> None:
    settings = tiny_run(
        bert_reranker_folder,
        tmp_path,
        use_lora=True,
        lora_rank=4,
        learning_rate=1e-2,
        target_modules=("query", "value"),
        modules_to_save=("classifier",),
        save_merged_lora_model=True,
        dev_fraction=0.0,
    )
    result = train_reranker(settings)
    assert result is not None
    with Reranker(bert_reranker_folder, device="cpu") as reranker:
        before = reranker.score(PAIRS)
    found = []
    for model, adapter in ((bert_reranker_folder, result.folder), (result.folder / "merged_model", None)):
        with Reranker(model, device="cpu", source=SourceOptions(peft_path=adapter)) as reranker:
            found.append(reranker.score(PAIRS))
    assert found[0] == near(found[1])
    assert found[0] != near(before)
    # Without being asked all its weights are trained.
    prepared = prepare(tiny_run(bert_reranker_folder, tmp_path, dev_fraction=0.0), tmp_path)
    assert open_trainable(prepared.resolved, prepared.settings).adapter is None


def test_half_the_memory_below_an_adapter(tmp_path: Path) -> None:
    base = shutil.copytree(llm_checkpoint("tiny-gemma"), tmp_path / "base")
    weights = {name: one.to(torch.bfloat16) for name, one in load_file(base / "model.safetensors").items()}
    save_file(weights, base / "model.safetensors", {"format": "pt"})
    settings = run_of(GEMMA, tmp_path, model=base, lora_base_dtype="bfloat16", save_merged_lora_model=True)
    prepared = prepare(settings, tmp_path)
    trainable = open_trainable(prepared.resolved, prepared.settings)
    kinds = {(one.requires_grad, one.dtype) for one in trainable.module.parameters()}
    assert kinds == {(True, torch.float32), (False, torch.bfloat16)}
    result = train_reranker(settings)
    assert result is not None
    assert scores(base, result.folder) == near(scores(result.folder / "merged_model"))


@pytest.mark.parametrize(
    ("model", "changes", "message"),
    [
        ("bert", {"use_lora": True}, "target_modules names .*'v_proj'.* there are .*dense.*query"),
        ("gemma", {"target_modules": ("q_proj", "qkv_proj")}, "names 'qkv_proj', .* there are .*down_proj, .*q_proj"),
        ("gemma", {"target_modules": ("lm_head",)}, "names 'lm_head', the output matrix"),
        ("gemma", {"modules_to_save": ("embed_tokens",)}, "names 'embed_tokens', which is the output matrix too"),
        ("gemma", {"modules_to_save": ("head",)}, "modules_to_save names 'head', and the model has no such layer"),
        ("untied", {"modules_to_save": ("lm_head",)}, "names 'lm_head', the output matrix"),
        ("layerwise", {"target_modules": ("Wqkv",)}, "names 'Wqkv', .* there are .*linear_head"),
        ("gemma", {"lora_base_dtype": "bfloat16"}, "would round the weights of .* stored as F32"),
        ("bert", {"lora_base_dtype": "bfloat16"}, "below an adapter, and none is trained"),
        (
            "bert",
            {"lora_rank": 8, "save_merged_lora_model": True},
            "lora_rank and save_merged_lora_model is about an ad",
        ),
        ("gemma", {"head_multi": True, "compress_ratio": 2}, "head_multi and compress_ratio cannot be given"),
        ("bert", {"compress_layers": (3,)}, "compress_layers cannot be given: .* has no heads on several layers"),
        ("layerwise", {"start_layer": 3}, "start_layer=3 and .* has heads already: from layer 2 on, one each"),
        ("layerwise", {"compress_ratio": 2}, "not compress_ratio, .*: it compresses nothing"),
        ("lightweight", {"compress_ratio": 3}, "compress_ratio must be one of 1, 2, 4, 8"),
        ("lightweight", {"compress_layers": (9,)}, "compress_layers must be from 1 to 5"),
        ("layerwise", {"frozen_layers": 7}, "the model has 6 layers"),
    ],
)
def test_what_cannot_be_is_told_before_anything_is_computed(
    model: str, changes: dict[str, Any], message: str, tmp_path: Path, bert_reranker_folder: Path
) -> None:
    if model == "bert":
        settings = tiny_run(bert_reranker_folder, tmp_path, **changes)
    elif model == "untied":
        folder = qwen_reranker(tmp_path / "m", tied=False)
        settings = run_of(KINDS["qwen3-untied"], tmp_path, model=folder, **changes)
    else:
        settings = run_of(KINDS[model], tmp_path, **changes)
    with pytest.raises(InvalidInputError, match=message):
        train_reranker(settings)
    # Nothing is left that a corrected run would stumble over.
    assert not (tmp_path / "trained.training").exists()
    assert not (tmp_path / "trained").exists()


@pytest.mark.parametrize(
    "given", [{"from_peft": "x"}, {"save_merged_lora_model": True}, {"lora_base_dtype": "bfloat16"}]
)
def test_settings_of_an_adapter_without_one(given: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="is about an adapter, and use_lora is False"):
        run_of(GEMMA, tmp_path, use_lora=False, **given)


@pytest.mark.parametrize(
    ("name", "message"),
    [("from_peft", "is for another model: 42 weights do not fit"), ("raw_peft", "do not fit this model")],
)
def test_an_adapter_of_another_model(name: str, message: str, tmp_path: Path) -> None:
    adapter = adapter_of(GEMMA, tmp_path / "a")
    given = {name: adapter if name == "from_peft" else (adapter,), "save_merged_lora_model": True}
    with pytest.raises(UnsupportedModelError, match=message):
        train_reranker(run_of(LAYERWISE, tmp_path / "b", **given))


@pytest.mark.parametrize("name", ["from_peft", "raw_peft"])
def test_a_folder_without_an_adapter(name: str, tmp_path: Path) -> None:
    given = {name: tmp_path if name == "from_peft" else (tmp_path,), "save_merged_lora_model": True}
    with pytest.raises(ModelUnavailableError, match=r"has no adapter_config\.json"):
        train_reranker(run_of(GEMMA, tmp_path / "b", **given))


def test_an_adapter_on_merged_ones_has_no_checkpoint_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="set save_merged_lora_model"):
        run_of(GEMMA, tmp_path, raw_peft=("x",))


def test_the_bundled_format_has_no_adapters(tmp_path: Path) -> None:
    pytest.importorskip("rerank_plugins_mini")
    with pytest.raises(UnsupportedModelError, match="too small to gain anything by LoRA"):
        train_reranker(tiny_run("mini", tmp_path, use_lora=True, dev_fraction=0.0))
