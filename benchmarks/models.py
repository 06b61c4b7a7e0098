"""Checkpoints with random weights: architecture, files and tokenizer as published, no download.

Weights are drawn from a fixed seed, wide enough that scores differ between pairs.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import save_file
from tokenizers import Tokenizer

from benchmarks.shapes import DecoderShape, EncoderShape
from benchmarks.tokenizers_at_hand import (
    bert_tokenizer,
    gemma_tokenizer,
    minicpm_tokenizer,
    qwen_tokenizer,
    xlmr_tokenizer,
)

__all__ = ["checkpoint"]

_SEED = 20_240
_SPREAD = 0.05
_BERT_FILES = {
    "tokenizer_class": "PreTrainedTokenizerFast",
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    # Without it transformers 5 gives a plain fast tokenizer's model no segment ids.
    "model_input_names": ["input_ids", "token_type_ids", "attention_mask"],
    "model_max_length": 512,
}
_XLMR_FILES = {
    "tokenizer_class": "PreTrainedTokenizerFast",
    "bos_token": "<s>",
    "eos_token": "</s>",
    "cls_token": "<s>",
    "sep_token": "</s>",
    "pad_token": "<pad>",
    "unk_token": "<unk>",
    "model_input_names": ["input_ids", "attention_mask"],
    "model_max_length": 512,
}
_DECODER_FILES = {
    "tokenizer_class": "PreTrainedTokenizerFast",
    "add_bos_token": True,
    "add_eos_token": False,
    "unk_token": "<unk>",
    "padding_side": "left",
    "model_input_names": ["input_ids", "attention_mask"],
    "model_max_length": 8192,
    "clean_up_tokenization_spaces": False,
}


def checkpoint(shape: EncoderShape | DecoderShape, root: Path) -> Path:
    """Return the folder of a checkpoint, written on the first call.

    Args:
        shape: Its sizes.
        root: Where checkpoints are kept.
    """
    folder = root / shape.name.replace(" ", "-").lower()
    if not (folder / "complete").is_file():
        folder.mkdir(parents=True, exist_ok=True)
        if isinstance(shape, EncoderShape):
            _encoder(shape, folder)
        elif shape.kind == "gemma":
            _gemma(shape, folder)
        elif shape.kind == "qwen3":
            _qwen3(shape, folder)
        else:
            _minicpm(shape, folder)
        (folder / "complete").touch()
    return folder


def _encoder(shape: EncoderShape, folder: Path) -> None:
    bert = shape.kind == "bert"
    tokenizer = bert_tokenizer() if bert else xlmr_tokenizer()
    sizes: dict[str, Any] = {
        "vocab_size": tokenizer.get_vocab_size(),
        "hidden_size": shape.hidden,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "intermediate_size": shape.intermediate,
        "initializer_range": _SPREAD,
        "num_labels": 1,
    }
    torch.manual_seed(_SEED)
    model: Any
    if bert:
        model = transformers.BertForSequenceClassification(transformers.BertConfig(**sizes))
    else:
        # XLM-R's position ids start behind the padding id, hence 512 + 2.
        config = transformers.XLMRobertaConfig(
            **sizes, max_position_embeddings=514, type_vocab_size=1, pad_token_id=1, bos_token_id=0, eos_token_id=2
        )
        model = transformers.XLMRobertaForSequenceClassification(config)
    model.eval().save_pretrained(folder)
    _write_tokenizer(folder, tokenizer, _BERT_FILES if bert else _XLMR_FILES)


def _gemma(shape: DecoderShape, folder: Path) -> None:
    config = transformers.GemmaConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        head_dim=shape.head_dim,
        intermediate_size=shape.intermediate,
        initializer_range=_SPREAD,
        bos_token_id=2,
        eos_token_id=1,
        pad_token_id=0,
    )
    torch.manual_seed(_SEED)
    model: Any = transformers.GemmaForCausalLM(config)
    model.eval().save_pretrained(folder)
    special = {"bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>"}
    _write_tokenizer(folder, gemma_tokenizer(), {**_DECODER_FILES, **special})


def _qwen3(shape: DecoderShape, folder: Path) -> None:
    tokenizer = qwen_tokenizer()
    config = transformers.Qwen3Config(
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        head_dim=shape.head_dim,
        intermediate_size=shape.intermediate,
        initializer_range=_SPREAD,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.token_to_id("<|im_end|>"),
        pad_token_id=tokenizer.token_to_id("<|endoftext|>"),
    )
    torch.manual_seed(_SEED)
    model: Any = transformers.Qwen3ForCausalLM(config)
    model.eval().save_pretrained(folder)
    special = {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}
    _write_tokenizer(folder, tokenizer, {**_DECODER_FILES, "add_bos_token": False, **special})


def _minicpm(shape: DecoderShape, folder: Path) -> None:
    config = {
        "architectures": ["LayerWiseMiniCPMForCausalLM"],
        "model_type": "minicpm",
        "attention_bias": False,
        "bos_token_id": 1,
        "dim_model_base": 256,
        "eos_token_id": 2,
        "head_multi": True,
        "head_type": "simple",
        "hidden_act": "silu",
        "hidden_size": shape.hidden,
        "intermediate_size": shape.intermediate,
        "max_position_embeddings": 2048,
        "num_attention_heads": shape.heads,
        "num_hidden_layers": shape.layers,
        "num_key_value_heads": shape.kv_heads,
        "rms_norm_eps": 1e-5,
        "rope_scaling": None,
        "rope_theta": 10000.0,
        "scale_depth": 1.4,
        "scale_emb": 12,
        "start_layer": shape.first_head,
        "torch_dtype": "float32",
        "vocab_size": shape.vocabulary,
    }
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    generator = torch.Generator().manual_seed(_SEED)
    state = {
        name: torch.ones(size) if len(size) == 1 else torch.randn(size, generator=generator) * _SPREAD
        for name, size in _minicpm_sizes(shape)
    }
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    special = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<unk>"}
    _write_tokenizer(folder, minicpm_tokenizer(), {**_DECODER_FILES, **special})


def _minicpm_sizes(shape: DecoderShape) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield the published checkpoint's tensor names with their sizes."""
    hidden, inner = shape.hidden, shape.intermediate
    queries, keys = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    yield "model.embed_tokens.weight", (shape.vocabulary, hidden)
    yield "model.norm.weight", (hidden,)
    for layer in range(shape.layers):
        prefix = f"model.layers.{layer}."
        yield prefix + "input_layernorm.weight", (hidden,)
        yield prefix + "post_attention_layernorm.weight", (hidden,)
        yield prefix + "self_attn.q_proj.weight", (queries, hidden)
        yield prefix + "self_attn.k_proj.weight", (keys, hidden)
        yield prefix + "self_attn.v_proj.weight", (keys, hidden)
        yield prefix + "self_attn.o_proj.weight", (hidden, queries)
        yield prefix + "mlp.gate_proj.weight", (inner, hidden)
        yield prefix + "mlp.up_proj.weight", (inner, hidden)
        yield prefix + "mlp.down_proj.weight", (hidden, inner)
    for head in range(shape.layers - shape.first_head + 1):
        yield f"lm_head.{head}.linear_head.weight", (1, hidden)


def _write_tokenizer(folder: Path, tokenizer: Tokenizer, settings: Mapping[str, object]) -> None:
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps(dict(settings), indent=1) + "\n", encoding="utf-8")
    special = {key: value for key, value in settings.items() if key.endswith("_token") and isinstance(value, str)}
    # FlashRank reads this file.
    (folder / "special_tokens_map.json").write_text(json.dumps(special, indent=1) + "\n", encoding="utf-8")
