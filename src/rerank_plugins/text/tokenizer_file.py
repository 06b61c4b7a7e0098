"""A ``tokenizer.json``, read with care: what could build something huge or never end is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import AddedToken, Tokenizer
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import ByteLevel

from rerank_plugins.checks.boundary import checkpoint_errors
from rerank_plugins.errors import UnsupportedModelError
from rerank_plugins.text.growth import check_growth
from rerank_plugins.text.patterns import check_patterns

__all__ = ["add_named_tokens", "follow_bert_settings", "follow_prefix_space", "read_tokenizer"]

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


def follow_prefix_space(tokenizer: Tokenizer, settings: Mapping[str, Any]) -> list[str]:
    """Have a byte-level tokenizer put a space in front of a text as its config says, as RoBERTa's of transformers do.

    They take ``add_prefix_space`` from there, or no space, whatever ``tokenizer.json`` says.

    Args:
        tokenizer: What is changed, unless it splits texts in another way.
        settings: ``tokenizer_config.json``.

    Returns:
        The setting that ``tokenizer.json`` contradicts, as ``name=value``; most have none.
    """
    splitter, wanted = tokenizer.pre_tokenizer, bool(settings.get("add_prefix_space", False))
    if not isinstance(splitter, ByteLevel) or splitter.add_prefix_space == wanted:
        return []
    splitter.add_prefix_space = wanted
    tokenizer.pre_tokenizer = splitter
    return [f"add_prefix_space={wanted}"]


def add_named_tokens(
    tokenizer: Tokenizer, settings: Mapping[str, Any], added: Mapping[str, Any], *, rows: int | None
) -> None:
    """Have a text cut at the tokens that the other files name and ``tokenizer.json`` does not know as such.

    transformers' fast tokenizers do (``PreTrainedTokenizerFast.__init__``). A token beyond the embeddings, with which
    transformers fails, stays ordinary text.

    Args:
        tokenizer: What is changed.
        settings: ``tokenizer_config.json``.
        added: ``added_tokens.json`` of older versions.
        rows: Embeddings of the model; None if nothing says it.
    """
    known = {one.content for one in tokenizer.get_added_tokens_decoder().values()}
    for token in _named_tokens(settings, added):
        number = tokenizer.token_to_id(token.content)
        if number is None:
            number = tokenizer.get_vocab_size(with_added_tokens=True)
        if token.content and token.content not in known and (rows is None or number < rows):
            tokenizer.add_tokens([token])
            known.add(token.content)


def _named_tokens(settings: Mapping[str, Any], added: Mapping[str, Any]) -> Iterator[AddedToken]:
    """Yield the tokens of a tokenizer's files, by their numbers where they have some, then those that have a role."""
    roles = [one for name, one in settings.items() if name.endswith("_token")]
    for name in ("additional_special_tokens", "extra_special_tokens"):
        some = settings.get(name)
        roles += some.values() if isinstance(some, Mapping) else some if isinstance(some, list) else ()
    if "added_tokens_decoder" in settings:
        numbered = settings["added_tokens_decoder"]
        yield from (_token(numbered[number]) for number in sorted(numbered, key=int))
    else:
        special = {_token(one).content for one in roles if isinstance(one, (str, Mapping))}
        for content in sorted(added, key=lambda name: int(added[name])):
            yield AddedToken(content, normalized=content not in special, special=content in special)
    # Of a switch such as add_bos_token the value is no token.
    yield from (_token(one) for one in roles if isinstance(one, (str, Mapping)))


def _token(entry: Any) -> AddedToken:
    if isinstance(entry, str):
        return AddedToken(entry, special=True, normalized=False)
    content = entry["content"]
    if not isinstance(content, str):
        msg = f"the content of an added token is {content!r}, no text"
        raise TypeError(msg)
    flags = ("single_word", "lstrip", "rstrip", "normalized", "special")
    given = {name: bool(entry[name]) for name in flags if name in entry}
    # Entries of a role have no such flag; what has a role is special.
    return AddedToken(content, **{"special": True, **given})


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
