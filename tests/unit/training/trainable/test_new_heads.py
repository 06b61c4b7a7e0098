"""A language model that gets heads on its upper layers, and is a layerwise reranker from then on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from language_models import KINDS, raw_minicpm
from safetensors.torch import load_file
from training_rows import rows, tiny_run, write_rows

from rerank_plugins import LayerOptions, Reranker
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.text.tokenizer_file import read_tokenizer

pytest.importorskip("accelerate")
pytest.importorskip("ir_measures")
pytest.importorskip("peft")

from rerank_plugins.training import train_reranker

PAIRS = [(row["query"], text) for row in rows(3, seed=3) for text in (*row["pos"], *row["neg"])]
ALL_LAYERS = LayerOptions(cutoff_layers=(3, 4, 5, 6))


def run_of(model: Path, folder: Path, **changes: Any) -> Any:
    given = {"start_layer": 3, "lora_rank": 4, "max_steps": 3, "learning_rate": 1e-2, "dev_fraction": 0.0}
    return tiny_run(model, folder, **{**given, **changes})


def head_rows(folder: Path) -> dict[str, torch.Tensor]:
    return {name: one for name, one in load_file(folder / "model.safetensors").items() if "lm_head" in name}


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize("head_multi", [True, None], ids=["one-each", "one-for-all"])
def test_heads_begin_as_the_row_of_yes(tied: bool, head_multi: bool | None, tmp_path: Path) -> None:
    raw = raw_minicpm(tmp_path / "raw", tied=tied)
    dev = write_rows(tmp_path / "dev.jsonl", rows(6, seed=2))
    # A step so small that it is none.
    settings = run_of(raw, tmp_path, use_lora=False, head_multi=head_multi, learning_rate=1e-12, dev_data=dev)
    result = train_reranker(settings)
    assert result is not None
    stored = load_file(raw / "model.safetensors")
    matrix = stored["model.embed_tokens.weight" if tied else "lm_head.weight"]
    row = matrix[read_tokenizer(raw / "tokenizer.json").encode("Yes", add_special_tokens=False).ids[0]]
    found = head_rows(result.folder)
    assert len(found) == (4 if head_multi else 1)
    assert all(torch.allclose(one[0], row, rtol=1e-5, atol=1e-6) for one in found.values())
    # The module was measured before, since no checkpoint could be.
    assert [one.before for one in result.changes] == pytest.approx([one.after for one in result.changes])
    config = json.loads((result.folder / "config.json").read_text())
    assert (config["architectures"], config["start_layer"]) == (["LayerWiseMiniCPMForCausalLM"], 3)
    assert "auto_map" not in config
    with Reranker(result.folder, device="cpu", layers=ALL_LAYERS) as reranker:
        assert reranker.spec.layers is not None
        assert torch.tensor(reranker.score_layers(PAIRS)).std(dim=0).min() > 0


@pytest.mark.parametrize("head_multi", [True, False], ids=["one-each", "one-for-all"])
@pytest.mark.parametrize("use_lora", [True, False], ids=["lora", "whole"])
def test_what_is_trained_opens_and_is_trained_further(head_multi: bool, use_lora: bool, tmp_path: Path) -> None:
    raw = raw_minicpm(tmp_path / "raw", tied=True)
    saves = {"use_lora": use_lora, "save_merged_lora_model": use_lora, "modules_to_save": ("linear_head",) * use_lora}
    (tmp_path / "a").mkdir()
    first = train_reranker(run_of(raw, tmp_path / "a", head_multi=head_multi, **saves))
    assert first is not None
    folder = first.folder / ("merged_model" if use_lora else "")
    heads = list(head_rows(folder).values())
    assert len(heads) == (4 if head_multi else 1)
    assert (not torch.equal(heads[0], heads[-1])) == head_multi
    (tmp_path / "b").mkdir()
    again = train_reranker(run_of(folder, tmp_path / "b", start_layer=None, use_lora=use_lora))
    assert again is not None
    (tmp_path / "c").mkdir()
    other = run_of(folder, tmp_path / "c", start_layer=3, head_multi=not head_multi)
    with pytest.raises(InvalidInputError, match="has heads already: from layer 3 on"):
        train_reranker(other)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "set save_merged_lora_model to get the whole model too"),
        ({"use_lora": False, "start_layer": 7}, "start_layer=7, and .* has 6 layers"),
    ],
)
def test_what_cannot_be(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=message):
        train_reranker(run_of(raw_minicpm(tmp_path / "raw", tied=True), tmp_path, **changes))


def test_only_a_minicpm_gets_heads(tmp_path: Path) -> None:
    model = KINDS["gemma"].folder(tmp_path)
    with pytest.raises(InvalidInputError, match="only a MiniCPM"):
        train_reranker(run_of(model, tmp_path, family="bge"))
