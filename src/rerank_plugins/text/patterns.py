"""Checks that the regular expressions in ``tokenizer.json`` cannot run for ever (catastrophic backtracking).

The Rust tokenizer runs them on every text with engines that backtrack (Oniguruma, fancy-regex). A repeated group that
can match the same text in several ways, such as ``(a+)+b``, takes exponential time, and nothing can interrupt it.
What published tokenizers use (GPT-2, Llama 3, Qwen, o200k, DeepSeek, T5, ...) repeats characters and classes only.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from rerank_plugins.errors import UnsupportedModelError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = ["check_patterns", "is_simple_pattern"]

_LONGEST = 20_000
_MOST_REPEATS = 4
"""Repetitions without an end in one alternative: each may multiply the time by the length of a text."""


def check_patterns(tokenizer: Tokenizer, *, name: str) -> None:
    """Check the patterns of a tokenizer.

    Args:
        tokenizer: The tokenizer.
        name: Its file, for the error.

    Raises:
        UnsupportedModelError: One may take time without end.
    """
    for part in (tokenizer.normalizer, tokenizer.pre_tokenizer):
        for pattern in () if part is None else _patterns(json.loads(part.__getstate__())):
            if not is_simple_pattern(pattern):
                msg = (
                    f"{name} splits texts with the pattern {pattern[:100]!r}, which repeats a group of several "
                    "possibilities and may never end on some texts; choose another revision or model"
                )
                raise UnsupportedModelError(msg)


def _patterns(value: Any) -> Iterator[str]:
    members = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    if isinstance(value, dict) and isinstance(value.get("Regex"), str):
        yield value["Regex"]
    for member in members:
        yield from _patterns(member)


def is_simple_pattern(pattern: str) -> bool:
    """Return whether no repeated group holds a repetition or an alternative, and few repetitions follow each other."""
    if len(pattern) > _LONGEST:
        return False
    # One entry for each open group: whether it holds a choice, and the unbounded repeats of this alternative.
    open_groups: list[list[int]] = [[0, 0]]
    position, is_choice = 0, False
    while position < len(pattern):
        symbol = pattern[position]
        position = _end_of_atom(pattern, position)
        if symbol == "(":
            open_groups.append([0, 0])
            continue
        if symbol == "|":
            open_groups[-1] = [1, 0]
            continue
        if symbol == ")" and len(open_groups) > 1:
            holds_choice, repeats = open_groups.pop()
            is_choice = bool(holds_choice or repeats)
            open_groups[-1][1] += repeats
            open_groups[-1][0] |= holds_choice
        else:
            is_choice = False
        least, most, position = _quantifier(pattern, position)
        if is_choice and most > 1:
            return False
        open_groups[-1][0] |= int(least != most)
        open_groups[-1][1] += int(most > least + 1)
        if open_groups[-1][1] > _MOST_REPEATS:
            return False
    return True


def _end_of_atom(pattern: str, start: int) -> int:
    """Return the position after a character, an escape, a class or an opening bracket."""
    symbol = pattern[start]
    if symbol == "\\":
        is_property = pattern[start + 1 : start + 3] in ("p{", "P{", "x{", "k<", "g<")
        closing = {"{": "}", "<": ">"}.get(pattern[start + 2 : start + 3], "") if is_property else ""
        end = pattern.find(closing, start) + 1 if closing else start + 2
        return end if end > start else len(pattern)
    if symbol == "[":
        return _end_of_class(pattern, start)
    if symbol == "(" and pattern.startswith("(?", start):
        end = start + 2
        while end < len(pattern) and pattern[end] not in ":=!>)":
            end += 1
        # (?i) alone sets a flag; its closing bracket is then read like that of an empty group.
        return end if pattern[end : end + 1] == ")" else end + 1
    return start + 1


def _end_of_class(pattern: str, start: int) -> int:
    depth, position = 0, start
    while position < len(pattern):
        if pattern[position] == "\\":
            position += 1
        elif pattern[position] == "[":
            depth += 1
            if pattern[position + 1 : position + 2] == "^":
                position += 1
            if pattern[position + 1 : position + 2] == "]":
                position += 1
        elif pattern[position] == "]":
            depth -= 1
            if depth == 0:
                return position + 1
        position += 1
    return len(pattern)


def _quantifier(pattern: str, start: int) -> tuple[int, int, int]:
    """Return the least and the most repetitions of the atom before ``start``, and the position after the quantifier."""
    many = 10**9
    found: list[tuple[int, int]] = []
    end = start
    while end < len(pattern):
        symbol = pattern[end]
        if symbol in "*+?":
            low, high = {"*": (0, many), "+": (1, many), "?": (0, 1)}[symbol]
            # A second sign makes the quantifier lazy or possessive, or repeats it once more.
            found.append((low, high))
            end += 1
            continue
        closing = pattern.find("}", end) if symbol == "{" else -1
        bounds = pattern[end + 1 : closing].split(",") if closing > 0 else []
        if not bounds or len(bounds) > 2 or not all(one.strip().isdigit() or not one.strip() for one in bounds):
            break
        low = int(bounds[0].strip() or 0)
        high = low if len(bounds) == 1 else int(bounds[1].strip() or many)
        found.append((low, high))
        end = closing + 1
    return min((low for low, _ in found), default=1), max((high for _, high in found), default=1), end
