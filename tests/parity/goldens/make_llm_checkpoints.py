"""Build the tiny decoder checkpoints: tiny-gemma, tiny-minicpm-layerwise, tiny-gemma2-lightweight.

Run it in the reference environment described in README.md:

    python make_llm_checkpoints.py --sample-dir PATH_TO_TINY_SAMPLE

The configs keep what the published ones say wherever the size does not matter. Weights are random.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from FlagEmbedding.inference.reranker.decoder_only.models.gemma_model import CostWiseGemmaForCausalLM
from FlagEmbedding.inference.reranker.decoder_only.models.modeling_minicpm_reranker import (
    LayerWiseMiniCPMForCausalLM,
)
from golden_io import CHECKPOINTS
from make_checkpoints import frequent, sample_texts
from safetensors.torch import save_file
from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import GemmaForCausalLM, PreTrainedModel

VOCAB_SIZE = 1400
ALPHABET = 450
BYTES = [f"<0x{value:02X}>" for value in range(256)]

_COMMON: dict[str, Any] = {
    "attention_bias": False,
    "attention_dropout": 0.0,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_attention_heads": 4,
    "initializer_range": 0.02,
    "rope_theta": 10000.0,
    "torch_dtype": "float32",
    "use_cache": True,
}
_GEMMA_IDS = {"bos_token_id": 2, "eos_token_id": 1, "pad_token_id": 0}
GEMMA: dict[str, Any] = {
    **_COMMON, **_GEMMA_IDS,
    "architectures": ["GemmaForCausalLM"],
    "model_type": "gemma",
    "head_dim": 16,
    "hidden_act": "gelu",
    "max_position_embeddings": 8192,
    "num_hidden_layers": 3,
    "num_key_value_heads": 1,
    "rms_norm_eps": 1e-6,
}  # fmt: skip
MINICPM: dict[str, Any] = {
    **_COMMON,
    "architectures": ["LayerWiseMiniCPMForCausalLM"],
    "auto_map": {
        "AutoConfig": "BAAI/bge-reranker-v2-minicpm-layerwise--configuration_minicpm_reranker.LayerWiseMiniCPMConfig",
        "AutoModelForCausalLM": (
            "BAAI/bge-reranker-v2-minicpm-layerwise--modeling_minicpm_reranker.LayerWiseMiniCPMForCausalLM"
        ),
    },
    "model_type": "minicpm",
    "bos_token_id": 1,
    "eos_token_id": 2,
    "dim_model_base": 16,
    "head_multi": True,
    "head_type": "simple",
    "hidden_act": "silu",
    "max_position_embeddings": 2048,
    "num_hidden_layers": 6,
    "num_key_value_heads": 4,
    "rms_norm_eps": 1e-5,
    "rope_scaling": None,
    "scale_depth": 1.4,
    "scale_emb": 12,
    "start_layer": 2,
}
GEMMA2: dict[str, Any] = {
    **_COMMON, **_GEMMA_IDS,
    "architectures": ["CostWiseGemmaForCausalLM"],
    "auto_map": {
        "AutoConfig": "BAAI/bge-reranker-v2.5-gemma2-lightweight--gemma_config.CostWiseGemmaConfig",
        "AutoModelForCausalLM": "BAAI/bge-reranker-v2.5-gemma2-lightweight--gemma_model.CostWiseGemmaForCausalLM",
    },
    "model_type": "cost_wise_gemma",
    "attn_logit_softcapping": 50.0,
    "cache_implementation": "hybrid",
    "final_logit_softcapping": 30.0,
    "head_dim": 16,
    "hidden_act": "gelu_pytorch_tanh",
    "hidden_activation": "gelu_pytorch_tanh",
    "layer_sep": 1,
    "layer_wise": True,
    "max_position_embeddings": 8192,
    "num_hidden_layers": 6,
    "num_key_value_heads": 2,
    "query_pre_attn_scalar": 16,
    "rms_norm_eps": 1e-6,
    "sliding_window": 4096,
    "start_layer": 2,
}  # fmt: skip


def train_merges(texts: list[str]) -> tuple[list[str], list[tuple[str, str]]]:
    """Learn BPE merges inside words, with blanks written as "▁", and return (pieces, merges)."""
    trainer_tokenizer = Tokenizer(models.BPE())
    trainer_tokenizer.normalizer = normalizers.Replace(" ", "▁")
    trainer_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split("▁", "merged_with_next"),
            pre_tokenizers.Split(Regex(r"[^▁\p{L}]"), "isolated"),
        ]
    )
    # The library cuts the alphabet in hash order where counts are equal; chosen here, the vocabulary is repeatable.
    alphabet = ["\n", *frequent(Counter("".join(texts).replace(" ", "▁")), ALPHABET - 1)]
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE - len(BYTES), initial_alphabet=alphabet, limit_alphabet=ALPHABET, show_progress=False
    )
    words = ["Yes", "No", "yes", "no"] * 400
    trainer_tokenizer.train_from_iterator([*texts, *words], trainer)
    model = json.loads(trainer_tokenizer.to_str())["model"]
    merges = [(left, right) for left, right in model["merges"]]
    return sorted(model["vocab"], key=model["vocab"].__getitem__), merges


def bpe(special: list[str], pieces: list[str], merges: list[tuple[str, str]], unk: str) -> Tokenizer:
    """Build a byte-fallback BPE tokenizer whose ids are special tokens, bytes, pieces."""
    order = special + BYTES + [piece for piece in pieces if piece not in special]
    vocab = {piece: index for index, piece in enumerate(order)}
    tokenizer = Tokenizer(models.BPE(vocab, merges, unk_token=unk, byte_fallback=True, fuse_unk=True))
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in special])
    return tokenizer


def gemma_tokenizer(pieces: list[str], merges: list[tuple[str, str]]) -> Tokenizer:
    """Lay the tokenizer out as Gemma's: no leading "▁", "\\n" is a piece."""
    tokenizer = bpe(["<pad>", "<eos>", "<bos>", "<unk>"], pieces, merges, "<unk>")
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    tokenizer.decoder = decoders.Sequence([
        decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()
    ])  # fmt: skip
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A", pair="<bos> $A <bos>:1 $B:1", special_tokens=[("<bos>", 2)]
    )
    return tokenizer


def minicpm_tokenizer(pieces: list[str], merges: list[tuple[str, str]]) -> Tokenizer:
    """Lay the tokenizer out as Llama's: a leading "▁" on every text, so "\\n" alone is two ids."""
    tokenizer = bpe(["<unk>", "<s>", "</s>"], pieces, merges, "<unk>")
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence([
        decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)
    ])  # fmt: skip
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s>:1 $B:1", special_tokens=[("<s>", 1)]
    )
    return tokenizer


def tokenizer_config(bos: str, eos: str, pad: str) -> dict[str, Any]:
    """Return a tokenizer_config.json that uses tokenizer.json as it is."""
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "add_bos_token": True,
        "add_eos_token": False,
        "bos_token": bos,
        "eos_token": eos,
        "pad_token": pad,
        "unk_token": "<unk>",
        "padding_side": "left",
        "model_input_names": ["input_ids", "attention_mask"],
        "model_max_length": 1000000000000000019884624838656,
        "clean_up_tokenization_spaces": False,
    }


def random_state(model: PreTrainedModel, seed: int, std: float) -> dict[str, torch.Tensor]:
    """Return seeded random weights for ``model``; norms stay near the identity of their architecture."""
    generator = torch.Generator().manual_seed(seed)
    offset = 1.0 if isinstance(model, LayerWiseMiniCPMForCausalLM) else 0.0
    state = {}
    for name, parameter in sorted(model.named_parameters()):
        if name == "lm_head.weight":
            continue  # tied to the embeddings, or attached by transformers to the list of heads
        noise = torch.randn(parameter.shape, generator=generator) * std
        state[name] = noise + offset if "norm" in name else noise
    return state


def save(name: str, config: dict[str, Any], state: dict[str, torch.Tensor], tokenizer: Tokenizer) -> None:
    """Write one checkpoint folder."""
    folder = CHECKPOINTS / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    config = {**config, "vocab_size": tokenizer.get_vocab_size()}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "model.safetensors").chmod(0o644)
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    layout = (
        tokenizer_config("<s>", "</s>", "<unk>") if "minicpm" in name else tokenizer_config("<bos>", "<eos>", "<pad>")
    )
    (folder / "tokenizer_config.json").write_text(json.dumps(layout, indent=1) + "\n", encoding="utf-8")


def build(name: str, model_class: Any, config: dict[str, Any], tokenizer: Tokenizer, seed: int, std: float) -> None:
    """Create the architecture from its config and write the checkpoint."""
    settings = {key: value for key, value in config.items() if key not in {"architectures", "auto_map"}}
    model = model_class(model_class.config_class(**settings, vocab_size=tokenizer.get_vocab_size()))
    save(name, config, random_state(model, seed, std), tokenizer)


def main() -> None:
    """Build all three decoder checkpoints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sample-dir", type=Path, required=True)
    pieces, merges = train_merges(sample_texts(parser.parse_args().sample_dir))
    gemma = gemma_tokenizer(pieces, merges)
    build("tiny-gemma", GemmaForCausalLM, GEMMA, gemma, 31, 0.2)
    build("tiny-minicpm-layerwise", LayerWiseMiniCPMForCausalLM, MINICPM, minicpm_tokenizer(pieces, merges), 32, 0.3)
    build("tiny-gemma2-lightweight", CostWiseGemmaForCausalLM, GEMMA2, gemma, 33, 0.3)


if __name__ == "__main__":
    main()
