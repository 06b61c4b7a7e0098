"""Splits texts into sentences by rules, with the characters of each: English and its kin, Chinese, Japanese.

The rules are this project's own. A sentence ends

* behind ``。！？`` and their kin, with the closing quotes and brackets behind them, whatever follows;
* behind ``. ! ? …``, likewise, if white space follows and then no lower-case letter. A full stop ends none behind a
  title or initial (``Dr. Smith``, ``J. Smith``), behind a word that a number follows (``No. 5``, ``Jan. 5``), behind
  the number of a list, and behind letters with stops between them (``U.S.``, ``Ph.D.``, ``Inc.`` likewise) unless a
  word follows that often begins a sentence;
* at a blank line, and before an item of a list;
* at the latest after ``longest`` characters, at the last comma or white space.

White space belongs to the sentence before it, so that the sentences put together are the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated

from rerank_plugins.checks.arguments import checked_call
from rerank_plugins.checks.kinds import Within
from rerank_plugins.types import WindowSpan

__all__ = ["LONGEST_SENTENCE", "sentence_spans"]

LONGEST_SENTENCE = 1_000
"""Characters of a sentence at most: a table or a listing without full stops is cut there."""

_SMALLEST_LIMIT = 20
_CLOSERS = "\"'”’»›)\\]}」』）】》〉"
_OPENERS = "\"'“‘«‹([{「『（【《〈¿¡"
_CJK = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3"
_END = re.compile(
    rf"(?P<always>[。！？｡।॥؟۔]+[{_CLOSERS}]*\s*"
    r"|\n[^\S\n]*\n\s*"
    r"|\n\s*(?=(?:[-*•–·]|\d{1,3}[.)])\s)"
    rf"|(?<![!?])[!?]+[{_CLOSERS}]*(?=[{_CJK}]))"
    rf"|(?P<perhaps>(?<![.!?…])(?P<marks>[.!?…]+)[{_CLOSERS}]*\s+)"
)
_CLAUSE = re.compile(r"[,;:，；：、]\s*|\s+")

_WORD_CHARACTERS = 24


def _listed(words: str) -> frozenset[str]:
    return frozenset(words.split())


_TITLES = _listed(
    "mr mrs ms dr prof st mt ft gen col maj capt lt sgt cmdr adm rev hon gov sen rep pres vs cf viz al approx "
    "dept est messrs mme mlle ca e.g i.e"
)
_NUMBERED = _listed(
    "no nos nr fig figs vol vols p pp ch chap sec sect eq eqs art par ed eds op app jan feb mar apr jun jul aug "
    "sep sept oct nov dec"
)
_MAYBE_LAST = _listed("inc ltd co corp jr sr bros etc")
_STARTERS = _listed(
    "a after all also although an and another as at because before both but by during each even for from he her "
    "here his how however i if in it its many more most no on one our she since so some such that the their then "
    "there these they this those though to under we what when where while who why with you"
)
_NEXT_WORD = re.compile(rf"[{re.escape(_OPENERS)}]*(\w[\w'’]*)?")


@checked_call(unchecked=("text",))
def sentence_spans(
    text: str, *, longest: Annotated[int, Within(_SMALLEST_LIMIT)] = LONGEST_SENTENCE
) -> list[WindowSpan]:
    """Return the sentences of a text as spans of characters that follow one another and cover all of it.

    Args:
        text: Any text.
        longest: Characters of a sentence at most.

    Returns:
        None for an empty text; one for a text of white space.
    """
    spans: list[WindowSpan] = []
    start = 0
    for end in (*_ends(text), len(text)):
        if end > start and (not text[start:end].isspace() or end == len(text)):
            spans += _cut(text, start, end, longest)
            start = end
    return spans


def _ends(text: str) -> Iterator[int]:
    return (found.end() for found in _END.finditer(text) if found["always"] is not None or _ends_sentence(text, found))


def _ends_sentence(text: str, found: re.Match[str]) -> bool:
    following = _NEXT_WORD.match(text, found.end())
    word = (following[1] if following is not None else None) or ""
    if word[:1].islower():
        return False
    return found["marks"] != "." or _stop_ends(text, found.start(), word)


def _stop_ends(text: str, stop: int, following: str) -> bool:
    """Return whether the full stop at ``stop`` ends a sentence, by the word before it and the one that follows."""
    before = text[max(0, stop - _WORD_CHARACTERS) : stop].split()
    last = before[-1].lstrip(_OPENERS) if before and not text[stop - 1].isspace() else ""
    lower = last.lower()
    if lower in _TITLES or (len(last) == 1 and last.isupper() and last != "I"):
        return False
    if lower in _NUMBERED:
        return not following[:1].isdigit()
    if lower.isdigit():
        return not _begins_line(text, stop - len(last))
    if lower in _MAYBE_LAST or ("." in lower and lower.replace(".", "").isalpha()):
        return not following or following.lower() in _STARTERS
    return True


def _begins_line(text: str, place: int) -> bool:
    return not text[max(0, place - _WORD_CHARACTERS) : place].rpartition("\n")[2].strip() and (
        place < _WORD_CHARACTERS or "\n" in text[place - _WORD_CHARACTERS : place]
    )


def _cut(text: str, start: int, end: int, longest: int) -> Iterator[WindowSpan]:
    """Yield a sentence, in parts if it is too long."""
    while end - start > longest:
        # In the second half: a part of a few characters says nothing.
        breaks = [one.end() for one in _CLAUSE.finditer(text, start + longest // 2, start + longest)]
        middle = breaks[-1] if breaks else start + longest
        yield WindowSpan(start, middle)
        start = middle
    yield WindowSpan(start, end)
