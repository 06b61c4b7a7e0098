"""What the values of a checkpoint's JSON files may be: type and range of each setting that is read, in one table.

A setting that is not in a table is not read here. transformers reads more of them; what it makes of those comes out of
:mod:`rerank_plugins.checks.boundary`, and what they may cost is bounded by
:mod:`rerank_plugins.catalog.weight_headers`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from rerank_plugins.errors import UnsupportedModelError

__all__ = ["ADAPTER", "CONFIG", "COUNTS", "POSITIONS", "SENTENCE_BERT", "SENTENCE_TRANSFORMERS", "SIZES", "TOKENIZER"]
__all__ += ["LATE_INTERACTION", "Rule", "check_fields"]

_Rules = Mapping[str, "Rule"]


@dataclass(frozen=True, slots=True)
class Rule:
    """What a value may be.

    Attributes:
        expected: In words, for the error.
        accepts: Whether a value is so. Never called with None: a null is a setting that is not made.
    """

    expected: str
    accepts: Callable[[Any], bool]


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < math.inf


def _whole(least: int, most: int) -> Rule:
    return Rule(
        f"a whole number from {least} to {most}",
        lambda value: isinstance(value, int) and not isinstance(value, bool) and least <= value <= most,
    )


def _number(least: float, most: float) -> Rule:
    return Rule(f"a number from {least:g} to {most:g}", lambda value: _is_number(value) and least <= value <= most)


def _is_token(value: object) -> bool:
    content = value.get("content") if isinstance(value, Mapping) else value
    return isinstance(content, str) and len(content) <= _LONGEST_TEXT


def _is_text(value: object) -> bool:
    return isinstance(value, str) and len(value) <= _LONGEST_TEXT


_LONGEST_TEXT = 100_000
_FLAG = Rule("true or false", lambda value: isinstance(value, bool))
_TEXT = Rule("a text", _is_text)
_TOKEN = Rule("a token", _is_token)
_TEXTS = Rule("a list of texts", lambda value: isinstance(value, list) and all(map(_is_text, value)))
_OBJECT = Rule("an object", lambda value: isinstance(value, Mapping))
_PROMPTS = Rule(
    "an object of texts",
    lambda value: isinstance(value, Mapping) and all(one is None or _is_text(one) for one in value.values()),
)
_INSTRUCTIONS = Rule(
    "an object with the texts query and document",
    lambda value: (
        isinstance(value, Mapping) and {*value} <= {"query", "document"} and all(map(_is_text, value.values()))
    ),
)
_ALPHAS = Rule(
    "an object of numbers",
    lambda value: isinstance(value, Mapping) and all(_is_number(one) and abs(one) < 1e6 for one in value.values()),
)
_MOST_LAYERS, _MOST_SIZE, _MOST_POSITIONS = 10_000, 2**24, 2**27
_EPSILON = _number(0.0, 1.0)

COUNTS = (
    *("num_hidden_layers", "num_layers", "n_layers", "n_layer", "num_decoder_layers", "encoder_layers"),
    *("decoder_layers",),
)
"""Names of the number of layers."""
SIZES = (
    *("hidden_size", "d_model", "n_embd", "dim", "intermediate_size", "d_ff", "vocab_size", "embedding_size"),
    *("num_attention_heads", "num_heads", "n_heads", "num_key_value_heads", "head_dim", "d_kv"),
)
"""Names of widths, and of what widths are divided by."""
POSITIONS = ("max_position_embeddings", "n_positions")

CONFIG: _Rules = MappingProxyType(
    {
        **dict.fromkeys(COUNTS, _whole(1, _MOST_LAYERS)),
        **dict.fromkeys(SIZES, _whole(1, _MOST_SIZE)),
        **dict.fromkeys(POSITIONS, _whole(1, _MOST_POSITIONS)),
        "type_vocab_size": _whole(0, 100_000),
        "num_labels": _whole(0, 100_000),
        "start_layer": _whole(0, _MOST_LAYERS),
        "layer_sep": _whole(0, _MOST_LAYERS),
        "pad_token_id": _whole(-1, _MOST_SIZE),
        "decoder_start_token_id": _whole(0, _MOST_SIZE),
        # Qwen2-MoE saves 0 where windows are not used.
        "sliding_window": _whole(0, 2**31),
        "architectures": _TEXTS,
        "id2label": _OBJECT,
        "label2id": _OBJECT,
        "model_type": _TEXT,
        "_name_or_path": _TEXT,
        "auto_map": _OBJECT,
        "hidden_act": _TEXT,
        "hidden_activation": _TEXT,
        "head_type": _TEXT,
        "classifier_pooling": _TEXT,
        "head_multi": _FLAG,
        "layer_wise": _FLAG,
        "normalize": _FLAG,
        "is_causal": _FLAG,
        "tie_word_embeddings": _FLAG,
        "attention_bias": _FLAG,
        "rope_scaling": _OBJECT,
        "rope_parameters": _OBJECT,
        "layer_norm_eps": _EPSILON,
        "layer_norm_epsilon": _EPSILON,
        "norm_eps": _EPSILON,
        "rms_norm_eps": _EPSILON,
        "rope_theta": _number(1.0, 1e12),
        "scale_emb": _number(0.0, 1e6),
        "scale_depth": _number(0.0, 1e6),
        "query_pre_attn_scalar": _number(1e-6, 1e6),
        "attn_logit_softcapping": _number(1e-6, 1e6),
        "final_logit_softcapping": _number(1e-6, 1e6),
    }
)
"""Of ``config.json``."""

TOKENIZER: _Rules = MappingProxyType(
    {
        **dict.fromkeys(("bos_token", "eos_token", "pad_token", "unk_token", "cls_token", "sep_token"), _TOKEN),
        "mask_token": _TOKEN,
        "model_input_names": _TEXTS,
        "tokenizer_class": _TEXT,
        **dict.fromkeys(("do_lower_case", "strip_accents", "tokenize_chinese_chars"), _FLAG),
        "add_bos_token": _FLAG,
        "add_prefix_space": _FLAG,
        "add_eos_token": _FLAG,
        # Without a limit transformers writes int(1e30).
        "model_max_length": _number(1, 1e31),
        "max_length": _number(1, 1e31),
    }
)
"""Of ``tokenizer_config.json``."""

SENTENCE_BERT: _Rules = MappingProxyType({"max_seq_length": _whole(1, _MOST_POSITIONS), "do_lower_case": _FLAG})
"""Of ``sentence_bert_config.json``."""

SENTENCE_TRANSFORMERS: _Rules = MappingProxyType(
    {
        "prompts": _PROMPTS,
        "default_prompt_name": _TEXT,
        "truncate_dim": _whole(1, _MOST_SIZE),
        "pair_instructions": _INSTRUCTIONS,
    }
)
"""Of ``config_sentence_transformers.json``."""

LATE_INTERACTION: _Rules = MappingProxyType(
    {
        **dict.fromkeys(("query_maxlen", "doc_maxlen", "query_length", "document_length"), _whole(1, _MOST_POSITIONS)),
        "dim": _whole(1, 100_000),
        **dict.fromkeys(("query_token_id", "doc_token_id", "query_prefix", "document_prefix"), _TEXT),
        **dict.fromkeys(("similarity", "interaction", "similarity_fn_name"), _TEXT),
        **dict.fromkeys(("attend_to_mask_tokens", "mask_punctuation"), _FLAG),
        **dict.fromkeys(("do_query_expansion", "attend_to_expansion_tokens"), _FLAG),
        "skiplist_words": _TEXTS,
        "query_expansion": _OBJECT,
    }
)
"""Of a late-interaction model: ``artifact.metadata``, PyLate's settings, and sentence-transformers' modules."""

ADAPTER: _Rules = MappingProxyType(
    {
        "lora_alpha": _number(-1e6, 1e6),
        "alpha_pattern": _ALPHAS,
        "peft_type": _TEXT,
        "bias": _TEXT,
        "use_rslora": _FLAG,
        "fan_in_fan_out": _FLAG,
        "r": _whole(1, 1_000_000),
    }
)
"""Of ``adapter_config.json``."""


def check_fields(values: Mapping[str, Any], rules: _Rules, *, path: Path) -> None:
    """Check the settings of one file.

    Args:
        values: What the file holds.
        rules: What its settings may be; others are left alone.
        path: The file, for the error.

    Raises:
        UnsupportedModelError: A value is of another type, or out of its range.
    """
    for name, rule in rules.items():
        value = values.get(name)
        if value is not None and not rule.accepts(value):
            got = repr(value) if not isinstance(value, int) or abs(value) < 10**30 else "a longer number"
            msg = f"{str(path)!r} has {name}={got[:100]}, expected {rule.expected}; download the checkpoint again"
            raise UnsupportedModelError(msg)
