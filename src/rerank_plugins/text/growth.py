"""Checks that the normalizers in ``tokenizer.json`` cannot make a text much longer.

Each normalizer works on the output of the one before it. Twelve of them that write eight characters for one turn fifty
characters into more than a billion, in native code that cannot be interrupted and whose memory has no limit.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from rerank_plugins.errors import UnsupportedModelError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = ["check_growth"]

_MOST_GROWTH = 64
"""Characters that may come of one: published tokenizers write one for one, Unicode's own forms up to 18."""
_MOST_ADDED = 1_000
"""Characters in front of a text."""
_MOST_STEPS = 100
_LONGEST_MAPPED = 1_000
"""Bytes that a table of characters (``precompiled_charsmap``) may write for one."""


def check_growth(tokenizer: Tokenizer, *, name: str) -> None:
    """Check that no text becomes much longer before it is split.

    Args:
        tokenizer: The tokenizer.
        name: Its file, for the error.

    Raises:
        UnsupportedModelError: Some would.
    """
    # "is not None": tokenizers 0.19 gives a sequence of steps the length 0.
    parts = [
        json.loads(part.__getstate__()) for part in (tokenizer.normalizer, tokenizer.pre_tokenizer) if part is not None
    ]
    steps = [step for part in parts for step in _steps(part)]
    growth, added = 1, 0
    for step in steps:
        written = len(step.get("content") or "")
        growth *= max(1, written // max(1, _least_replaced(step)))
        added = added * max(1, written) + len(step.get("prepend") or "")
        if growth > _MOST_GROWTH or added > _MOST_ADDED or len(steps) > _MOST_STEPS or _has_long_mapping(step):
            msg = (
                f"{name} rewrites texts in {len(steps)} steps that make them many times longer, which no published "
                "tokenizer does; choose another revision or model"
            )
            raise UnsupportedModelError(msg)


def _steps(value: Any) -> Iterator[dict[str, Any]]:
    inner = value.get("normalizers") or value.get("pretokenizers")
    if inner is None:
        yield value
    for one in inner or ():
        yield from _steps(one)


def _least_replaced(step: dict[str, Any]) -> int:
    """Return the length of the shortest text that is replaced; 0 for an expression, which may match an empty text."""
    pattern = step.get("pattern") or {}
    return len(pattern.get("String") or "") if isinstance(pattern, dict) else 0


def _has_long_mapping(step: dict[str, Any]) -> bool:
    """Return whether a table in SentencePiece's format (size, trie, strings that end in NUL) has a very long string."""
    content = base64.b64decode(step.get("precompiled_charsmap") or "")
    strings = content[4 + int.from_bytes(content[:4], "little") :]
    return max(map(len, strings.split(b"\0"))) > _LONGEST_MAPPED
