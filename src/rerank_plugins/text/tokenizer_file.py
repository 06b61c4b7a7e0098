"""A ``tokenizer.json``, read with care: what could build something huge or never end is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import Tokenizer
from tokenizers.normalizers import BertNormalizer

from rerank_plugins.checks.boundary import checkpoint_errors
from rerank_plugins.errors import UnsupportedModelError
from rerank_plugins.text.growth import check_growth
from rerank_plugins.text.patterns import check_patterns

__all__ = ["follow_bert_settings", "read_tokenizer"]

_LONGEST_TOKEN, _HIGHEST_ID = 20_000, 2**24
_BERT_SETTINGS: Mapping[str, tuple[str, bool | None]] = {
    "lowercase": ("do_lower_case", True),
    "strip_accents": ("strip_accents", None),
    "handle_chinese_chars": ("tokenize_chinese_chars", True),
}
"""Attribute of the normaliser to its name in ``tokenizer_config.json`` and transformers' default."""


def read_tokenizer(path: Path) -> Tokenizer:
    """Return the tokenizer in a ``tokenizer.json``.

    Raises:
        UnsupportedModelError: It cannot be read, has a pattern that may never end, or makes texts grow without measure.
    """
    task = (
        f"read {str(path)!r} with tokenizers {tokenizers.__version__} (if a newer version has written it: "
        "pip install --upgrade tokenizers transformers)"
    )
    with checkpoint_errors(task):
        _check_vocabulary(json.loads(path.read_bytes()), path)
        tokenizer = Tokenizer.from_file(str(path))
        check_patterns(tokenizer, name=repr(str(path)))
        check_growth(tokenizer, name=repr(str(path)))
    return tokenizer


def follow_bert_settings(tokenizer: Tokenizer, settings: Mapping[str, Any]) -> list[str]:
    """Have a BERT normaliser do what the tokenizer's config says, as BERT's tokenizers of transformers 4 and 5 do.

    They take ``do_lower_case``, ``strip_accents`` and ``tokenize_chinese_chars`` from there, or their defaults,
    whatever ``tokenizer.json`` says.

    Args:
        tokenizer: What is changed, unless its normaliser is of another kind.
        settings: ``tokenizer_config.json``.

    Returns:
        The settings that ``tokenizer.json`` contradicts, as ``name=value``; most have none.
    """
    normalizer = tokenizer.normalizer
    if not isinstance(normalizer, BertNormalizer):
        return []
    contradicted = []
    for name, (key, default) in _BERT_SETTINGS.items():
        wanted = default if settings.get(key) is None else settings[key]
        if getattr(normalizer, name) != wanted:
            setattr(normalizer, name, wanted)
            contradicted.append(f"{key}={wanted!r}")
    tokenizer.normalizer = normalizer
    return contradicted


def _check_vocabulary(content: Any, path: Path) -> None:
    """Refuse what makes Rust build something huge: ids with a gap of a billion, tokens of a million letters."""
    model = content["model"]
    vocabulary = model.get("vocab", {})
    added = [(one["content"], one["id"]) for one in content.get("added_tokens") or ()]
    tokens = [
        *(token for token, _ in added),
        *(vocabulary if isinstance(vocabulary, dict) else map(_first, vocabulary)),
    ]
    ids = [*(index for _, index in added), *(vocabulary.values() if isinstance(vocabulary, dict) else ())]
    longest, highest = max(map(len, tokens), default=0), max(ids, default=0)
    if longest > _LONGEST_TOKEN or highest > _HIGHEST_ID:
        msg = f"{str(path)!r} has a token of {longest} characters, or the id {highest}; no real vocabulary does"
        raise UnsupportedModelError(msg)
    if model.get("dropout"):
        chance = model["dropout"]
        msg = f"{str(path)!r} drops merges at random (dropout {chance}): no two calls would agree. Set it to null"
        raise UnsupportedModelError(msg)


def _first(entry: Any) -> Any:
    return entry[0]
