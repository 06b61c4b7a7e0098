"""Splits a text into terms for BM25."""

from __future__ import annotations

import itertools
import re
import unicodedata
from functools import cache

from rerank_plugins.checks.arguments import checked_call
from rerank_plugins.text.letters import SOUTH_EAST_ASIAN, marks

__all__ = ["words"]

# Scripts written without spaces between words, beside those of South East Asia: the signs 々〆〇, kana, Han (with
# extensions) and Hangul syllables, where particles are written together with words.
_CJK = (
    "\u3005-\u3007\u3040-\u30fa\u30fc-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
)
_JOINERS = "\u200c\u200d"


@cache
def _patterns() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Return what a word is, or a run of characters without spaces, and what one of these characters is.

    A letter's accents and vowel signs are its own (Unicode's UAX 29, as in Lucene), joiners only within a word. What
    chooses the look of a sign before it, such as that of an emoji, is no letter's.
    """
    own = "".join(one for one in marks() if one not in _JOINERS and not "\ufe00" <= one <= "\ufe0f")
    after = rf"(?:[{own}]|[{_JOINERS}](?=\w))"
    letters = re.findall(rf"(?=\w)[{SOUTH_EAST_ASIAN}]", "".join(map(chr, range(0x2000))))
    alone = f"{_CJK}{''.join(letters)}"
    word = rf"(?:[{alone}]{after}*)+|[^\W{alone}]+(?:{after}+[^\W{alone}]*)*"
    return re.compile(word), re.compile(rf"[{alone}]{after}*")


@checked_call()
def words(text: str) -> list[str]:
    """Return the terms of a text: lower-cased words, and characters and character pairs of text without spaces.

    Chinese, Japanese, Korean, Thai, Lao, Burmese and Khmer need no dictionary so, and a word matches whatever stands
    next to it; Lucene's CJK analyser uses pairs too. A character has its accents and vowel signs. The text is
    normalised first (NFKC), so that full-width Latin and half-width kana match.

    Example:
        >>> words("RAG 检索增强")
        ['rag', '检', '索', '增', '强', '检索', '索增', '增强']
    """
    terms: list[str] = []
    word_pattern, character_pattern = _patterns()
    for word in word_pattern.findall(unicodedata.normalize("NFKC", text).casefold()):
        if not (characters := character_pattern.findall(word)):
            terms.append(word)
            continue
        terms += characters
        terms += [first + second for first, second in itertools.pairwise(characters)]
    return terms
