"""Scores of the released FlagEmbedding 1.3.5 LLM rerankers on committed tiny checkpoints (see goldens/README.md)."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from declared import parity
from llm_checkpoints import GOLDENS, changed_copy, llm_checkpoint

from rerank_plugins import LayerOptions, LongDocuments, Reranker
from rerank_plugins.catalog.families.bge_llm import FLAG_EMBEDDING
from rerank_plugins.ranking.order import to_probability
from rerank_plugins.text.prompts import PromptLayout
from rerank_plugins.text.tokenizer import is_blank

TOLERANCE = 1e-4
FILES = ("llm_gemma", "llm_minicpm_layerwise", "llm_gemma2_lightweight")
Pairs = dict[str, tuple[str, str]]


@lru_cache
def golden(name: str) -> dict[str, Any]:
    return json.loads((GOLDENS / f"{name}.json").read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def all_pairs() -> Pairs:
    return {pair["id"]: (pair["query"], pair["passage"]) for pair in golden("pairs")["pairs"]}


def run_id(case: tuple[str, dict[str, Any]]) -> str:
    file, run = case
    options = "-".join(str(value)[:24] for value in run["options"].values())
    return f"{file}-{run['name']}-{options}".replace(" ", "")


RUNS = [(file, run) for file in FILES for run in golden(file)["runs"]]


def opened(file: str, folder: Path, options: dict[str, Any]) -> Reranker:
    return Reranker(
        folder,
        device="cpu",
        max_length=options.get("max_length", 512),
        prompt=options.get("prompt"),
        long_documents=LongDocuments(query_max_length=options.get("query_max_length")),
    )


def folder_of(file: str, change: dict[str, Any], tmp_path: Path) -> Path:
    """Return the checkpoint, or a copy with another config."""
    name = golden(file)["checkpoint"]
    return changed_copy(name, tmp_path / "changed", **change) if "sliding_window" in change else llm_checkpoint(name)


def layer_range(file: str) -> tuple[int, int]:
    return (2, 6) if file != "llm_gemma" else (0, 0)


def asked_layers(file: str, options: dict[str, Any]) -> list[int]:
    """Return the layers that the reference really returns: the known ones, ascending."""
    first, last = layer_range(file)
    cutoff = options.get("cutoff_layers") or [last]
    asked = [cutoff] if isinstance(cutoff, int) else cutoff
    return sorted({layer for layer in asked if first <= layer <= last})


def layer_options(file: str, run: dict[str, Any]) -> LayerOptions | None:
    if file == "llm_gemma":
        return None
    options = run["options"]
    cutoff = tuple(asked_layers(file, options))
    if file == "llm_minicpm_layerwise":
        return LayerOptions(cutoff_layers=cutoff)
    compress = options.get("compress_layers", options.get("compress_layer"))
    return LayerOptions(
        cutoff_layers=cutoff,
        compress_ratio=options.get("compress_ratio"),
        # The reference ignores layer 0 and layers that do not exist; we refuse them.
        compress_layers=None if compress is None else tuple(layer for layer in compress if 1 <= layer <= 5),
        attention_softcap=run.get("config_change", {}).get("attn_implementation") == "eager" or None,
    )


def overflows(reranker: Reranker, pair: tuple[str, str]) -> bool:
    """Whether the query leaves no room: there the reference leaves the pair over-long, and we cut the query."""
    encoder = reranker._lease.value.tokenizer
    layout = PromptLayout.of(encoder, FLAG_EMBEDDING, reranker.spec.prompt)
    limit = reranker.query_max_length or reranker.max_length * 3 // 4
    n_query = min(len(encoder.encode_one(f"A: {pair[0]}")), limit)
    return n_query >= layout.room_tokens(reranker.max_length)


def wrong_order_of_the_reference(file: str, run: dict[str, Any]) -> bool:
    """Whether the released MiniCPM code pairs states with other layers' heads (README, surprises)."""
    cutoff = run["options"].get("cutoff_layers")
    return file == "llm_minicpm_layerwise" and cutoff in ([6, 2, 4], [5, 3], [4, 4, 2])


def found_scores(reranker: Reranker, pairs: list[tuple[str, str]], layers: LayerOptions | None) -> list[list[float]]:
    if layers is None:
        return [[score] for score in reranker.score(pairs)]
    return reranker.score_layers(pairs, layers=layers)


@parity("bge", kind="reranker", architectures=["gemma", "minicpm", "cost_wise_gemma"], reference="FlagEmbedding 1.3.5")
@pytest.mark.parametrize("case", [case for case in RUNS if not wrong_order_of_the_reference(*case)], ids=run_id)
def test_flag_embedding_1_3_5(case: tuple[str, dict[str, Any]], tmp_path: Path) -> None:
    file, run = case
    reranker = opened(file, folder_of(file, run.get("config_change", {}), tmp_path), run["options"])
    pairs = all_pairs()
    # A blank passage is not scored here; the reference scores the prompt around it.
    keys = [key for key in run["scores"] if not is_blank(pairs[key][1]) and not overflows(reranker, pairs[key])]
    assert len(keys) >= len(run["scores"]) * 7 // 10
    layers = layer_options(file, run)
    together = found_scores(reranker, [pairs[key] for key in keys], layers)
    alone = [found_scores(reranker, [pairs[key]], layers)[0] for key in keys]
    for scores in (together, alone):
        for key, row in zip(keys, scores, strict=True):
            expected = run["scores"][key]
            if run["options"].get("normalize"):
                row = [to_probability(score, scale="logit") for score in row]
            assert row == pytest.approx(expected, abs=TOLERANCE), key


@pytest.mark.parametrize("file", FILES)
def test_ids_equal_what_the_reference_gave_to_its_model(file: str) -> None:
    pairs = all_pairs()
    n_checked = 0
    for case in golden(file)["inputs"]:
        reranker = opened(file, llm_checkpoint(golden(file)["checkpoint"]), case["options"])
        query, passage = pairs[case["id"]]
        if is_blank(passage) or overflows(reranker, pairs[case["id"]]):
            continue
        (encoded,) = reranker._backend.encode([(query, passage)])
        (one,) = encoded.inputs
        assert one.ids.tolist() == case["input_ids"]
        assert one.segments is not None
        if "query_lengths" in case:
            assert one.segments.document_start == case["query_lengths"]
            assert len(one) - one.segments.document_end == case["prompt_lengths"]
        n_checked += 1
    assert n_checked >= 16
