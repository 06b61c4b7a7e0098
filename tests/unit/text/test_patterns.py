"""Patterns of tokenizers: those that are published are run, those that may never end are not."""

from __future__ import annotations

import json

import pytest
import tiny_rerankers
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

from rerank_plugins.errors import UnsupportedModelError
from rerank_plugins.text.patterns import check_patterns, is_simple_pattern

PUBLISHED = {
    "gpt2": r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    "llama3": (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
        r"|\s*[\r\n]+|\s+(?!\S)|\s+"
    ),
    "qwen2": tiny_rerankers._QWEN_SPLIT,
    "o200k": (
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
        r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
        r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    ),
    "deepseek3": (
        r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
        r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    ),
    "bloom": r" ?[^(\s|[.,!?…。，、।۔،])]+",
    "clip": r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+",
    "cased": r"[^\r\n\p{L}\p{N}]?((?=[\p{L}])([^a-z]))*((?=[\p{L}])([^A-Z]))+",
    "t5": " {2,}",
    "digits": r"\d{1,3}(?=(?:\d{3})*\b)",
    "flag": r"(?i)abc+",
}
ENDLESS = (
    *(
        "(a+)+b",
        "(?:a*)*b",
        "(a|a)*b",
        "(a|ab|b)+c",
        "(?:a?){50}b",
        "((a+)b?)+c",
        "(?i:(a+)+)b",
        "(a+){2,}b",
        "(a{1,9})*b",
    ),
    *("a*a*a*a*a*a*b", r"(\w+\s?)*$", r"([a-z]+)*\d", r"(?>x(a+)+)b", "(?<n>a+)*b", "(.*)*x", r"(?:(?:\p{L}+)?)*x"),
)


@pytest.mark.parametrize("pattern", PUBLISHED.values(), ids=PUBLISHED)
def test_published_ones(pattern: str) -> None:
    assert is_simple_pattern(pattern)
    Regex(pattern)


@pytest.mark.parametrize("pattern", ENDLESS)
def test_endless_ones(pattern: str) -> None:
    assert not is_simple_pattern(pattern)


@pytest.mark.parametrize("place", ["normalizer", "pre_tokenizer", "sequence"])
def test_wherever_a_tokenizer_has_one(place: str) -> None:
    tokenizer = Tokenizer(models.WordLevel({"a": 0}, "a"))
    pattern = Regex("(a+)+b")
    if place == "normalizer":
        tokenizer.normalizer = normalizers.Replace(pattern, "x")
    elif place == "pre_tokenizer":
        tokenizer.pre_tokenizer = pre_tokenizers.Split(pattern, "isolated")
    else:
        tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Replace(pattern, "x")])
    assert "(a+)+b" in json.dumps(json.loads(tokenizer.to_str()))
    with pytest.raises(UnsupportedModelError, match="may never end"):
        check_patterns(tokenizer, name="x")
    check_patterns(tiny_rerankers.qwen_tokenizer(), name="x")
