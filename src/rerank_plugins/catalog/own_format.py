"""The format of checkpoints that this project trains: a BERT backbone and a head that no other library knows.

``config.json`` has a ``model_type`` of its own, so that a library that would give the backbone a random head refuses
the folder. Every key of it is read here or by the backbone: a setting that nobody reads is a score that somebody
believes to be another. Folders written before it had that name say ``bert``; they are read all the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from rerank_plugins.errors import UnsupportedModelError
from rerank_plugins.types import TruncationRule

__all__ = ["BACKBONE_KEYS", "SEGMENT_SIMILARITY", "SEGMENT_SIMILARITY_TYPE", "OwnFormat", "read_own_format"]

SEGMENT_SIMILARITY = "segment_similarity"
SEGMENT_SIMILARITY_TYPE = "rerank_plugins_segment_similarity"
_BLOCK = "rerank_plugins"

BACKBONE_KEYS = (
    "attention_probs_dropout_prob",
    "hidden_act",
    "hidden_dropout_prob",
    "hidden_size",
    "initializer_range",
    "intermediate_size",
    "layer_norm_eps",
    "max_position_embeddings",
    "num_attention_heads",
    "num_hidden_layers",
    "pad_token_id",
    "type_vocab_size",
    "vocab_size",
)
"""What the backbone's BertConfig is made of."""

_OTHER_KEYS = ("architectures", "model_type", _BLOCK)
_FIXED: Mapping[str, object] = {
    "head": SEGMENT_SIMILARITY,
    "special_tokens_in_segments": False,
    "terms": ["mean_cosine", "maxsim", "exact_match", "cls_linear"],
}
"""What the code does; a checkpoint that was trained otherwise cannot be run."""

_APART = "apart_layers"
"""A key that may be missing: no layer is apart then."""

_TOKEN_TYPES = ([0, 1], [0, 0])
"""Token types of query and document."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnFormat:
    """The settings of a checkpoint in this project's own format.

    Attributes:
        max_length_tokens: Tokens of an input that it was trained for.
        truncation: How a pair that is too long was cut.
        eps: Least length of a state in its cosines.
        has_token_types: Whether the document's tokens are of another type than the query's; the tokenizer's config
            says the same by its ``model_input_names``.
        apart_layers: Number of the lowest layers in which query and document do not see each other
            (:mod:`rerank_plugins.nn.apart`).
    """

    max_length_tokens: int
    truncation: TruncationRule
    eps: float
    has_token_types: bool = True
    apart_layers: int = 0


def read_own_format(config: Mapping[str, Any], *, folder: Path) -> OwnFormat | None:
    """Return what a ``config.json`` says about this project's format; None if it is of another.

    Raises:
        UnsupportedModelError: A key is missing, or is one that nothing here reads, or has a value that is not done.
    """
    if config.get("model_type") != SEGMENT_SIMILARITY_TYPE and _BLOCK not in config:
        return None
    block = config.get(_BLOCK)
    block = block if isinstance(block, Mapping) else {}
    own = {*_FIXED, "token_types", "max_length", "truncation", "eps"}
    problems = [f"unknown key {key!r}" for key in sorted({*config} - {*BACKBONE_KEYS, *_OTHER_KEYS})]
    problems += [f"unknown key {f'{_BLOCK}.{key}'!r}" for key in sorted({*block} - own - {_APART})]
    problems += [f"no key {key!r}" for key in BACKBONE_KEYS if key not in config]
    problems += [f"no key {f'{_BLOCK}.{key}'!r}" for key in sorted(own - {*block})]
    if config.get("model_type") not in (SEGMENT_SIMILARITY_TYPE, "bert"):
        problems.append(f"model_type={config.get('model_type')!r}")
    if not problems:
        problems = [f"{_BLOCK}.{key}={block[key]!r}" for key in _unusable(config, block)]
    if problems:
        msg = (
            f"{str(folder / 'config.json')!r} is of this project's own format, and this version does not read it: "
            f"{', '.join(problems)}. Upgrade rerank-plugins, or write the folder again with its training code."
        )
        raise UnsupportedModelError(msg)
    return OwnFormat(
        max_length_tokens=block["max_length"],
        truncation=block["truncation"],
        eps=float(block["eps"]),
        has_token_types=block["token_types"] == _TOKEN_TYPES[0],
        apart_layers=block.get(_APART, 0),
    )


def _unusable(config: Mapping[str, Any], block: Mapping[str, Any]) -> list[str]:
    """Return the keys of the block whose values are not done here."""
    wrong = [key for key, value in _FIXED.items() if block[key] != value]
    most, length, eps = config["max_position_embeddings"], block["max_length"], block["eps"]
    if not _is_number(length, int) or not _is_number(most, int) or not 0 < length <= most:
        wrong.append("max_length")
    if block["token_types"] not in _TOKEN_TYPES:
        wrong.append("token_types")
    apart, layers = block.get(_APART, 0), config["num_hidden_layers"]
    if not _is_number(apart, int) or not _is_number(layers, int) or not 0 <= apart < layers:
        wrong.append(_APART)
    if block["truncation"] not in get_args(TruncationRule):
        wrong.append("truncation")
    if not _is_number(eps, float) or not 0 < eps < 1:
        wrong.append("eps")
    return wrong


def _is_number(value: object, kind: type[int] | type[float]) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)
