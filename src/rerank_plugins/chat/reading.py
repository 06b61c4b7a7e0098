"""Reads what a chat model said, whatever it said: an order, a label, a grade, or nothing that can be used.

Nothing here raises for an answer, and an order that is read has every passage exactly once.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Generic, TypeVar

__all__ = ["Read", "read_grade", "read_label", "read_order", "yes_probability"]

T = TypeVar("T")

_LONGEST = 100_000
"""Characters of an answer that are looked at: a model that repeats itself for ever says nothing new behind them."""

# Most models write "think"; Magistral's marks stand in brackets.
_THOUGHT = re.compile(r"[<\[](/?)(?:think(?:ing)?|thoughts?|reasoning)[>\]]", re.IGNORECASE)
_CODE = re.compile(r"```(.*?)```", re.DOTALL)
_OBJECT = re.compile(r"(?:\[\s*)?\{")
_LANGUAGE = re.compile(r"[a-z]*\s*", re.IGNORECASE)

# No two parts that follow each other here take the same sign: a model may say a hundred thousand spaces.
_ID = r"[0-9]{1,6}"
_RANGE = r"(?:-|\u2013|to|\.\.|:)"
_BRACKETED = re.compile(rf"\[\s*({_ID}(?:\s*(?:,|>|;|{_RANGE})\s*{_ID})*)\s*\]")
_UP_TO = re.compile(rf"[ \t]*{_RANGE}[ \t]*")
_LABELLED = re.compile(rf"\b(?:passage|document|doc|id|identifier)s?(?:\s+id)?\s*(?:[:#]\s*)?({_ID})\b", re.IGNORECASE)
_BARE = re.compile(rf"(?<![\w.\-]){_ID}(?:[\s>,;=]+(?:(?:and|then)\s+)?{_ID})+(?![\w\-]|\.[0-9])", re.IGNORECASE)
# What an entry of a list begins with, in front of an identifier.
_LIST_MARK = re.compile(r"^[ \t]*(?:[-+*\u2022]|[0-9]{1,6}[.)])[ \t]+(?=\[|[0-9])", re.MULTILINE)
_PART = re.compile(rf"({_ID})(?:\s*{_RANGE}\s*({_ID}))?")
_JOIN = re.compile(r"[\s>,;=]*(?:(?:and|then)[\s>,;=]*)?", re.IGNORECASE)

_WRITTEN_LABEL = re.compile(r"\bpassage\s*(?::\s*)?[\"'(\[*]*([A-Z])\b", re.IGNORECASE)
_LONE_LABEL = re.compile(r"[\s\"'(\[*]*([A-Za-z])[\s\"')\].:*]*(?:$|\n|[-,:])")
# Several of them: "A, B", "B or A", "[A]/[B]", a line for each, or a word about each, as in "A: 3, B: 5".
_LABEL = r"[\"'(\[*]*([A-Za-z])[\"')\].*]*"
_SEVERAL_LABELS = re.compile(
    rf"\s*{_LABEL}(?:(?:[^\S\n]*[-,;/&>\n]\s*|[^\S\n]+(?:and|or)\s+){_LABEL}(?=\s*(?:$|[-,;/&>]|(?:and|or)\b)|[ \t]*\n)"
    rf"|:[^\n,;]*[\n,;]\s*{_LABEL}:)"
)
_DECIMAL = r"[0-9]{1,6}(?:\.[0-9]+)?"
# No part of a longer number: 0 is not what "0.5 %" says.
_NUMBER = re.compile(rf"(?<![\w.\-])({_DECIMAL})(?:\s*(?:/|out of)\s*{_DECIMAL})?(?![ \t]*%|\w|\.[0-9]|-[0-9])")
# "The passage a reader wants" chooses none.
_ARTICLE = re.compile(r"\b[Pp]assage a\s+[a-z]")
_EITHER = re.compile(r"\b[Pp]assage\s*[A-Z]\s*(?:,|/|&|or|and)\s*[A-HJ-W]\b")

# What a value of JSON is that is an answer by itself, and not a sentence about it.
_BARE_LABEL = re.compile(r"\W*(?:passage\W*)?[A-Z]\W*", re.IGNORECASE)
_BARE_GRADE = re.compile(rf"\s*{_DECIMAL}\s*(?:/\s*{_DECIMAL}\s*)?")
_BARE_ID = re.compile(r"\W*(?:(?:passage|document|doc|text|identifier|id)\W*)?[0-9]{1,6}\W*", re.IGNORECASE)

# Brackets of Chinese and Japanese texts, which NFKC leaves as they are.
_BRACKETS = str.maketrans("\u3010\u3011\u3014\u3015", "[][]")

_YES, _NO = frozenset({"yes", "是"}), frozenset({"no", "否", "不"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Read(Generic[T]):
    """What could be read of an answer.

    Attributes:
        value: What it says; None if nothing could be read.
        fault: Why the model is asked again, in words for the model; empty if the answer will do.
        missing: Passages that it left out.
        unknown: Identifiers that there are none of.
        doubled: Identifiers beyond the first of each passage.
    """

    value: T | None
    fault: str = ""
    missing: int = 0
    unknown: int = 0
    doubled: int = 0


def read_order(text: str, n: int) -> Read[list[int]]:
    """Return the order of ``n`` passages, as positions from 0, that an answer gives.

    Unknown identifiers are left out, each passage counts where it stands first, and those that are missing stand behind
    in the order that they had. An answer that names less than half of them is a reason to ask again.
    """
    answer_text = _plain_answer(text)
    named = _json_ids(answer_text)
    if named is None:
        # The numbers of a list's entries are none of the identifiers.
        marks = _LIST_MARK.findall(answer_text)
        entries = _LIST_MARK.sub("", answer_text) if len(marks) > 1 else answer_text
        named = _bracketed_ids(entries) or _labelled_ids(entries) or _bare_ids(entries, n)
    known = [one - 1 for one in named if 1 <= one <= n]
    order = list(dict.fromkeys(known))
    missing, unknown = n - len(order), len(named) - len(known)
    if not order:
        return Read(value=None, fault="it names none of the passages", unknown=unknown)
    there = set(order)
    rest = [one for one in range(n) if one not in there]
    fault = f"it names {len(order)} of the {n} passages" if 2 * len(order) < n else ""
    return Read(value=order + rest, fault=fault, missing=missing, unknown=unknown, doubled=len(known) - len(order))


def read_label(text: str, labels: Sequence[str]) -> Read[int]:
    """Return the position of the one label that an answer chooses; one that names several chooses none."""
    answer_text = _plain_answer(text)
    value = _json_value(answer_text, ("best", "label", "passage", "answer"), _BARE_LABEL)
    if value is not None:
        answer_text = str(value)
    lone = _SEVERAL_LABELS.match(answer_text) or _LONE_LABEL.match(answer_text)
    written = [] if _ARTICLE.search(answer_text) else _WRITTEN_LABEL.findall(answer_text)
    found = {one.upper() for one in written or (lone.groups() if lone else ()) if one}
    chosen = [labels.index(one) for one in found if one in labels]
    several = len(found) > 1 or _EITHER.search(answer_text) is not None
    if len(chosen) == 1 and not several:
        return Read(value=chosen[0])
    fault = "it names more than one passage" if several else "it names none of the passages"
    return Read(value=None, fault=fault, unknown=len(found) - len(chosen))


def read_grade(text: str, highest: int) -> Read[float]:
    """Return the grade, from 0 to ``highest``, that an answer gives; one that gives several gives none."""
    answer_text = _plain_answer(text)
    value = _json_value(answer_text, ("grade", "relevance", "score", "rating"), _BARE_GRADE)
    if isinstance(value, (int, float)):
        found = [float(value)] if -1e9 < value < 1e9 else []
    else:
        found = list(dict.fromkeys(float(one) for one in _NUMBER.findall(answer_text if value is None else value)))
    grades = [one for one in found if 0 <= one <= highest]
    if len(found) == 1 and grades:
        return Read(value=grades[0])
    fault = "it holds more than one number" if len(found) > 1 else f"it holds no number from 0 to {highest}"
    return Read(value=None, fault=fault, unknown=len(found) - len(grades))


def yes_probability(logprobs: Mapping[str, float]) -> float | None:
    """Return P(yes) / (P(yes) + P(no)) over all spellings of both among the first tokens; None if neither is there."""
    yes, no = _mass(logprobs, _YES), _mass(logprobs, _NO)
    return yes / (yes + no) if yes + no > 0.0 else None


def _mass(logprobs: Mapping[str, float], words: Set[str]) -> float:
    """Return the probability of some words; NaN if that of one is no number."""
    found = [one for token, one in logprobs.items() if str(token).strip(" \n\t\u2581\u0120'\"*.,").casefold() in words]
    return sum(math.exp(max(min(one, 0.0), -1e9)) if isinstance(one, (int, float)) else math.nan for one in found)


def _plain_answer(text: str) -> str:
    """Return an answer in plain signs (full width and superscripts are others), without what was thought aloud."""
    plain = unicodedata.normalize("NFKC", text[:_LONGEST]).translate(_BRACKETS)
    marks = list(_THOUGHT.finditer(plain))
    ends = [one.end() for one in marks if one[1]]
    before = plain[: marks[0].start()] if marks and not marks[0][1] else plain if not marks else ""
    return (plain[ends[-1] :].strip() if ends else "") or before.strip()


def _parsed(answer_text: str) -> Any:
    """Return the JSON object or list that an answer is, or that stands in it; None if there is none."""
    fenced = _CODE.search(answer_text)
    start = _OBJECT.search(answer_text)
    for candidate in (
        answer_text,
        _LANGUAGE.sub("", fenced[1], count=1).strip() if fenced else "",
        answer_text[start.start() :] if start else "",
    ):
        try:
            value, end = json.JSONDecoder().raw_decode(candidate)
        except (ValueError, RecursionError):
            continue
        # "[3] > [1]" begins with a list of its own, and is none.
        is_whole = isinstance(value, list) and (end == len(candidate) or isinstance(next(iter(value), None), dict))
        if isinstance(value, dict) or is_whole:
            return value
    return None


def _json_value(answer_text: str, names: Sequence[str], shape: re.Pattern[str]) -> str | float | None:
    """Return the text or the number that is the answer in a JSON object; empty if none is, None if there is no object.

    It has one of the names, or it is the only value that has the shape of an answer: beside it may stand reasons, which
    name passages and numbers too.
    """
    value = _parsed(answer_text)
    if not isinstance(value, dict):
        return None
    while isinstance(value, (dict, list)):
        if isinstance(value, list):
            some = value
        elif named := [value[name] for name in names if name in value]:
            some = named[:1]
        else:
            some = list(value.values())
            some = [one for one in some if _has_shape(one, shape)] if len(some) > 1 else some
        if len(some) != 1:
            return ""
        (value,) = some
    return value if isinstance(value, (str, int, float)) and not isinstance(value, bool) else ""


def _has_shape(value: Any, shape: re.Pattern[str]) -> bool:
    is_text = isinstance(value, (str, int, float)) and not isinstance(value, bool)
    return is_text and shape.fullmatch(str(value)) is not None


def _json_ids(answer_text: str) -> list[int] | None:
    """Return the identifiers of a JSON answer; None if it is none."""
    value = _parsed(answer_text)
    if isinstance(value, dict):
        named, lists = value.get("ranking"), [one for one in value.values() if isinstance(one, list)]
        # Beside it may stand what was thought of each, or scores.
        other = next((one for one in lists if _are_ids(one)), lists[0] if lists else None)
        value = named if isinstance(named, list) else other
    if not isinstance(value, list):
        return None
    each = [[_json_id(one) for one in (some if isinstance(some, list) else [some])] for some in value]
    found = [[one for one in some if one is not None] for some in each]
    together = [one for some in found for one in some]
    # Lists that name the same passages are several orders; those that share none are the parts of one.
    is_one = len(set(together)) == len(together) or not any(isinstance(some, list) for some in value)
    return together if is_one else _longest(found)


def _are_ids(some: list[Any]) -> bool:
    """Return whether a list of JSON holds identifiers and nothing more, or lists of such."""
    each = [one for part in some for one in (part if isinstance(part, list) else [part])]
    return bool(each) and all(
        _json_id(one) is not None and (not isinstance(one, str) or _BARE_ID.fullmatch(one)) for one in each
    )


def _json_id(one: Any) -> int | None:
    if isinstance(one, dict):
        one = next((one[name] for name in ("id", "identifier", "passage", "document", "doc") if name in one), None)
    if isinstance(one, float) and math.isfinite(one) and one == int(one):
        one = int(one)
    if isinstance(one, str):
        # With its sign: there is no passage -1.
        match = re.search(rf"(?:^\s*-)?{_ID}", one)
        return int(match[0]) if match else None
    return one if isinstance(one, int) and not isinstance(one, bool) else None


def _bracketed_ids(answer_text: str) -> list[int]:
    """Return identifiers in brackets: of the longest chain (the last of equals), or all if none hang together."""
    found = list(_BRACKETED.finditer(answer_text))
    between = [answer_text[one.end() : other.start()] for one, other in pairwise(found)]
    # A dash between two is a range; "[3] - [1] - [2]" is an order.
    dashes = [False, *(_UP_TO.fullmatch(one) is not None for one in between), False]
    chains: list[list[int]] = []
    for number, match in enumerate(found):
        ids = list(_expanded(match[1]))
        if number and dashes[number] and not dashes[number - 1] and not dashes[number + 1]:
            chains[-1] += list(_span(str(chains[-1][-1]), str(ids[0])))[1:] + ids[1:]
        elif number and (dashes[number] or _JOIN.fullmatch(between[number - 1])):
            chains[-1] += ids
        else:
            chains.append(ids)
    if max(map(len, chains), default=0) < 2:
        return [one for chain in chains for one in chain]
    return _longest(chains)


def _longest(lists: Sequence[list[int]]) -> list[int]:
    """Return the longest of some lists, of equals the last."""
    return max(reversed(lists), key=len, default=[])


def _labelled_ids(answer_text: str) -> list[int]:
    """Return identifiers behind a word that says what they are; one alone may be a number of something else."""
    found = [int(one) for one in _LABELLED.findall(answer_text)]
    return found if len(found) > 1 else []


def _bare_ids(answer_text: str, n: int) -> list[int]:
    """Return identifiers without brackets: only where several stand in a row, or nothing else was said."""
    rows = [list(_expanded(match[0])) for match in _BARE.finditer(answer_text)]
    if not rows:
        return [int(answer_text)] if re.fullmatch(_ID, answer_text) and int(answer_text) <= n else []
    return _longest(rows)


def _expanded(listed: str) -> Iterator[int]:
    """Yield the identifiers of a list in which ranges may stand."""
    for first, last in _PART.findall(listed):
        yield from _span(first, last or first)


def _span(first: str, last: str) -> Iterator[int]:
    start, end = int(re.findall(_ID, first)[-1]), int(last)
    if abs(end - start) > 1_000:
        yield from (start, end)
        return
    yield from range(start, end + 1) if start <= end else range(start, end - 1, -1)
