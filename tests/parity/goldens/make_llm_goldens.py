"""Write llm_gemma.json, llm_minicpm_layerwise.json and llm_gemma2_lightweight.json.

The reference is FlagEmbedding 1.3.5 with its bundled model code. Run it in the reference environment described
in README.md, after make_llm_checkpoints.py.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from FlagEmbedding import FlagLLMReranker, LayerWiseFlagLLMReranker, LightWeightFlagLLMReranker
from FlagEmbedding.inference.reranker.decoder_only.models.gemma_model import CostWiseGemmaForCausalLM
from golden_io import CHECKPOINTS, HERE, captured_inputs, versions, write_json
from golden_texts import Pair, build_pairs

PAIRS = (
    "en-hit", "en-miss", "en-card-hi", "en-card-sentence", "en-number", "zh-hit", "zh-bank", "cross-en-zh",
    "mixed-query", "double-spaces", "newlines", "emoji", "out-of-vocabulary", "fullwidth", "special-token-text",
    "empty-passage", "space-passage", "passage-100", "passage-700", "passage-700-zh", "query-60", "query-200",
    "query-450-long-passage", "query-600", "query-600-zh",
)  # fmt: skip
IDS_FOR = ("en-hit", "zh-hit", "newlines", "special-token-text", "empty-passage", "query-60", "query-450-long-passage")
FEW = ("en-hit", "en-card-hi", "zh-bank", "newlines", "empty-passage", "passage-700-zh", "query-200")
#: What every construction shares. ``use_fp16=True`` on the CPU still computes in fp32.
SETTINGS: dict[str, Any] = {"use_fp16": True, "devices": "cpu", "batch_size": 8}
LENGTHS: tuple[dict[str, Any], ...] = (
    {"max_length": 128},
    {"max_length": 64},
    {"max_length": 512, "query_max_length": 16},
    {"max_length": 64, "query_max_length": 120},
)
OTHER_PROMPT = "Predict whether passages A and B have the same meaning."


def chosen(names: Sequence[str]) -> list[Pair]:
    """Return the named pairs of pairs.json, in the order of ``names``."""
    by_name = {pair.id: pair for pair in build_pairs()}
    return [by_name[name] for name in names]


def as_rows(scores: list[Any]) -> list[list[float]]:
    """Return one list per returned layer, whichever of its two shapes the reference answered with."""
    return scores if isinstance(scores[0], list) else [scores]


def run(reranker: Any, name: str, options: dict[str, Any], names: Sequence[str] = PAIRS) -> dict[str, Any]:
    """Score the pairs together and one by one."""
    rows = [[pair.query, pair.passage] for pair in chosen(names)]
    answer = reranker.compute_score(rows, **copy.deepcopy(options))
    together = as_rows(answer)
    alone = [as_rows(reranker.compute_score([row], **copy.deepcopy(options))) for row in rows]
    delta = max(
        abs(layer[index] - alone[index][number][0])
        for number, layer in enumerate(together)
        for index in range(len(rows))
    )
    return {
        "name": name,
        "options": options,
        "flat": not isinstance(answer[0], list),
        "one_by_one_max_delta": delta,
        "scores": {key: [layer[index] for layer in together] for index, key in enumerate(names)},
    }


def inputs_of(reranker: Any, name: str, options: dict[str, Any]) -> dict[str, Any]:
    """Capture what the model really receives for one pair."""
    pair = chosen([name])[0]
    seen = captured_inputs(
        reranker.model, lambda: reranker.compute_score([[pair.query, pair.passage]], **copy.deepcopy(options))
    )
    mask = seen["attention_mask"][0].bool()
    kept = {key: seen[key][0] for key in ("query_lengths", "prompt_lengths") if key in seen}
    ids = seen["input_ids"][0][mask].tolist()
    return {"id": name, "options": options, "padded_length": len(mask), "length": len(ids), **kept, "input_ids": ids}


def all_inputs(reranker: Any) -> list[dict[str, Any]]:
    """Capture inputs at the default length and at short ones."""
    settings: tuple[dict[str, Any], ...] = (
        {"max_length": 512}, {"max_length": 64}, {"max_length": 64, "query_max_length": 120},
    )  # fmt: skip
    return [inputs_of(reranker, name, options) for name in IDS_FOR for options in settings]


def error_of(reranker: Any, name: str, options: dict[str, Any]) -> dict[str, Any]:
    """Record the exception that the released code raises for some options."""
    pair = chosen(["en-hit"])[0]
    try:
        answer = reranker.compute_score([[pair.query, pair.passage]], **options)
    except Exception as error:  # noqa: BLE001 - the golden is the error itself
        return {"name": name, "options": options, "type": type(error).__name__, "message": str(error)}
    return {"name": name, "options": options, "type": None, "result": answer}


def start(checkpoint: str, reranker: Any) -> dict[str, Any]:
    """Return the head of a golden document; the dtype is read after scoring."""
    inputs = all_inputs(reranker)
    return {
        "versions": versions("FlagEmbedding", "transformers", "tokenizers", "torch"),
        "checkpoint": checkpoint,
        "dtype": str(next(reranker.model.parameters()).dtype),
        "attn_implementation": reranker.model.config._attn_implementation,
        "inputs": inputs,
        "runs": [],
        "errors": [],
    }


def gemma() -> dict[str, Any]:
    """Return the goldens of FlagLLMReranker."""
    reranker = FlagLLMReranker(str(CHECKPOINTS / "tiny-gemma"), **SETTINGS)
    document = start("tiny-gemma", reranker)
    document["yes_loc"] = reranker.yes_loc
    runs = document["runs"]
    runs.append(run(reranker, "default", {}))
    runs += [run(reranker, "lengths", options) for options in LENGTHS]
    runs.append(run(reranker, "prompt", {"prompt": OTHER_PROMPT}, FEW))
    runs.append(run(reranker, "normalize", {"normalize": True}, FEW))
    reranker.tokenizer.padding_side = "right"
    runs.append(run(reranker, "right-padding", {}, FEW))
    return document


def layerwise() -> dict[str, Any]:
    """Return the goldens of LayerWiseFlagLLMReranker."""
    reranker = LayerWiseFlagLLMReranker(str(CHECKPOINTS / "tiny-minicpm-layerwise"), **SETTINGS)
    document = start("tiny-minicpm-layerwise", reranker)
    runs = document["runs"]
    runs.append(run(reranker, "default", {}))
    runs.append(run(reranker, "cutoff", {"cutoff_layers": [4]}))
    runs += [run(reranker, "lengths", {"cutoff_layers": [4], **options}) for options in LENGTHS]
    for cutoff in (
        [2],
        [3],
        [5],
        [6],
        [2, 4, 6],
        [2, 3, 4, 5, 6],
        [6, 2, 4],
        [5, 3],
        [3, 5],
        [4, 4],
        [4, 4, 2],
        [1, 4],
        4,
    ):
        runs.append(run(reranker, "cutoff", {"cutoff_layers": cutoff}, FEW))
    runs.append(run(reranker, "prompt", {"prompt": OTHER_PROMPT, "cutoff_layers": [4]}, FEW))
    runs.append(run(reranker, "normalize", {"normalize": True, "cutoff_layers": [2, 4]}, FEW))
    for cutoff in ([], [1], [7]):
        document["errors"].append(error_of(reranker, "cutoff", {"cutoff_layers": cutoff}))
    reranker.tokenizer.padding_side = "right"
    runs.append(run(reranker, "right-padding", {"cutoff_layers": [2, 4]}, FEW))
    return document


def lightweight_cutoffs(reranker: Any, runs: list[dict[str, Any]]) -> None:
    """Add the runs that vary the cutoff list and the compression."""
    for cutoff in ([2], [3], [6], [2, 3, 4, 5, 6], [2, 4], [4, 2], [6, 5, 3], [3, 5, 6], [4, 4], [1, 4], 4):
        runs.append(run(reranker, "cutoff", {"cutoff_layers": cutoff}, FEW))
    for ratio in (1, 2, 4, 8):
        compress = {"compress_ratio": ratio}
        runs.append(run(reranker, "compress", {"cutoff_layers": [4], "compress_layers": [3], **compress}))
        runs.append(run(reranker, "compress", {"cutoff_layers": [6], "compress_layers": [2, 4], **compress}))
        for cutoff, layers in (
            ([2, 3, 4, 5, 6], [3]), ([2, 3, 4, 5, 6], [2, 4]), ([2, 3, 4, 5, 6], [4, 2]), ([6, 3], [0, 3]),
            ([3], [3]), ([5], [8]), ([2, 5], [2, 3, 4]), ([4], [1, 5]),
        ):  # fmt: skip
            options = {"cutoff_layers": cutoff, "compress_layers": layers, **compress}
            runs.append(run(reranker, "compress", options, FEW))


def lightweight() -> dict[str, Any]:
    """Return the goldens of LightWeightFlagLLMReranker."""
    folder = str(CHECKPOINTS / "tiny-gemma2-lightweight")
    reranker = LightWeightFlagLLMReranker(folder, **SETTINGS)
    document = start("tiny-gemma2-lightweight", reranker)
    runs = document["runs"]
    runs.append(run(reranker, "default", {}))
    runs.append(run(reranker, "cutoff", {"cutoff_layers": [4]}))
    base = {"cutoff_layers": [5], "compress_layers": [3], "compress_ratio": 2}
    runs += [run(reranker, "lengths", {**base, **options}) for options in LENGTHS]
    lightweight_cutoffs(reranker, runs)
    runs.append(run(reranker, "prompt", {"prompt": OTHER_PROMPT, **base}, FEW))
    runs.append(run(reranker, "normalize", {"normalize": True, **base}, FEW))
    runs.append(
        run(reranker, "old-argument-name", {"cutoff_layers": [5], "compress_layer": [3], "compress_ratio": 2}, FEW)
    )
    for cutoff in ([], [1], [7]):
        document["errors"].append(error_of(reranker, "cutoff", {"cutoff_layers": cutoff}))
    reranker.tokenizer.padding_side = "left"
    rows = [[pair.query, pair.passage] for pair in chosen(FEW)]
    try:
        reranker.compute_score(rows, **base)
    except ValueError as error:
        document["errors"].append(
            {"name": "left-padding", "options": base, "type": "ValueError", "message": str(error)}
        )
    reranker.tokenizer.padding_side = "right"
    for name, change in (("eager", {"attn_implementation": "eager"}), ("sliding-window-32", {"sliding_window": 32})):
        reranker.model = CostWiseGemmaForCausalLM.from_pretrained(folder, torch_dtype=torch.float32, **change)
        for options in ({"cutoff_layers": [2, 3, 4, 5, 6]}, {"cutoff_layers": [5], **base}):
            runs.append({**run(reranker, name, options, FEW), "config_change": change})
    return document


def main() -> None:
    """Write the three files."""
    torch.set_num_threads(1)
    write_json(HERE / "llm_gemma.json", gemma())
    write_json(HERE / "llm_minicpm_layerwise.json", layerwise())
    write_json(HERE / "llm_gemma2_lightweight.json", lightweight())


if __name__ == "__main__":
    main()
