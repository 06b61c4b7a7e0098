"""Normalizers that multiply texts are refused; those of published tokenizers are not."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
import tiny_checkpoints

from rerank_plugins.errors import UnsupportedModelError
from rerank_plugins.text.tokenizer_file import read_tokenizer


def replace(pattern: str, content: str, *, kind: str = "String") -> dict[str, Any]:
    return {"type": "Replace", "pattern": {kind: pattern}, "content": content}


def sequence(*steps: dict[str, Any]) -> dict[str, Any]:
    return {"type": "Sequence", "normalizers": list(steps)}


def nested(step: dict[str, Any], depth: int) -> dict[str, Any]:
    return sequence(step) if depth == 0 else sequence(step, nested(step, depth - 1))


PUBLISHED = {
    "llama": sequence({"type": "Prepend", "prepend": "\u2581"}, replace(" ", "\u2581")),
    "t5": sequence({"type": "NFKC"}, replace(" {2,}", "\u2581", kind="Regex")),
    "albert": sequence(replace("``", '"'), replace("''", '"'), {"type": "NFKD"}, {"type": "Lowercase"}),
    "clip": sequence({"type": "NFC"}, replace(r"\s+", " ", kind="Regex"), {"type": "Lowercase"}),
    "spaced": sequence(replace("\n", " \n "), replace("...", " \u2026 ")),
    "none": None,
}
ENDLESS = {
    "each eight": sequence(*[replace("a", "a" * 8)] * 12),
    "nested": nested(replace("a", "aa"), 40),
    "of nothing": sequence(*[replace("", "xx")] * 30),
    "pattern": sequence(*[replace(".", "xxx", kind="Regex")] * 8),
    "one": replace("a", "a" * 10_000_000),
    "in front": {"type": "Prepend", "prepend": "a " * 2_000_000},
    "in front often": sequence(*[{"type": "Prepend", "prepend": "x" * 900}] * 50),
    "in front, then each": sequence({"type": "Prepend", "prepend": "x" * 900}, replace("x", "y" * 60)),
    "many steps": sequence(*[{"type": "NFKD"}] * 20_000),
}


def write(folder: Path, **changes: Any) -> Path:
    content = json.loads(tiny_checkpoints.wordpiece().to_str())
    (folder / "tokenizer.json").write_text(json.dumps({**content, **changes}), encoding="utf-8")
    return folder / "tokenizer.json"


@pytest.mark.parametrize("normalizer", PUBLISHED.values(), ids=PUBLISHED)
def test_published_ones(tmp_path: Path, normalizer: Any) -> None:
    assert read_tokenizer(write(tmp_path, normalizer=normalizer)).encode("a b").ids


@pytest.mark.timeout(60)
@pytest.mark.parametrize("normalizer", ENDLESS.values(), ids=ENDLESS)
def test_endless_ones(tmp_path: Path, normalizer: Any) -> None:
    with pytest.raises(UnsupportedModelError, match="many times longer"):
        read_tokenizer(write(tmp_path, normalizer=normalizer))


def test_a_table_that_writes_a_book_for_a_letter(tmp_path: Path) -> None:
    table = base64.b64encode((4).to_bytes(4, "little") + b"\0" * 4 + b"x" * 100_000 + b"\0").decode()
    normalizer = {"type": "Precompiled", "precompiled_charsmap": table}
    with pytest.raises(UnsupportedModelError):
        read_tokenizer(write(tmp_path, normalizer=normalizer))


def test_merges_at_random_are_refused(tmp_path: Path) -> None:
    model = {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"], "dropout": 0.5}
    with pytest.raises(UnsupportedModelError, match="at random"):
        read_tokenizer(write(tmp_path, model=model, normalizer=None, post_processor=None, added_tokens=[]))
