"""Splits a text into terms for BM25."""

from __future__ import annotations

import re
import unicodedata

from rerank_plugins.checks.arguments import checked_call

__all__ = ["words"]

# Scripts written without spaces between words: the signs 々〆〇, kana, Han (with extensions) and Hangul
# syllables, where particles are written together with words.
_CJK = (
    "\u3005-\u3007\u3040-\u30fa\u30fc-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
)
_WORD = re.compile(rf"[{_CJK}]+|[^\W{_CJK}]+")
_IS_CJK = re.compile(f"[{_CJK}]")


@checked_call()
def words(text: str) -> list[str]:
    """Return the terms of a text: lower-cased words, and characters and character pairs of CJK text.

    The text is normalised first (NFKC), so that full-width Latin and half-width kana match. Characters and
    character pairs need no dictionary and match a word whatever stands next to it; Lucene's CJK analyser uses pairs
    too.

    Example:
        >>> words("RAG 检索增强")
        ['rag', '检', '索', '增', '强', '检索', '索增', '增强']
    """
    terms: list[str] = []
    for word in _WORD.findall(unicodedata.normalize("NFKC", text).casefold()):
        if _IS_CJK.match(word):
            terms.extend(word)
            terms.extend(word[i : i + 2] for i in range(len(word) - 1))
        else:
            terms.append(word)
    return terms
