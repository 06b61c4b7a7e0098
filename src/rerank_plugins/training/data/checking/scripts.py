"""Which scripts texts are written in: a light statement about languages, from the characters alone."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from unicodedata import name

__all__ = ["script_of", "shares"]

_LOOKED_AT = 200
"""Characters of a text that are looked at."""

_SCRIPTS = {
    "CJK": "Han",
    "HIRAGANA": "Kana",
    "KATAKANA": "Kana",
    "HALFWIDTH": "Kana",
    "HANGUL": "Hangul",
    "LATIN": "Latin",
    "FULLWIDTH": "Latin",
    "CYRILLIC": "Cyrillic",
    "GREEK": "Greek",
    "ARABIC": "Arabic",
    "HEBREW": "Hebrew",
    "DEVANAGARI": "Devanagari",
    "BENGALI": "Bengali",
    "TAMIL": "Tamil",
    "TELUGU": "Telugu",
    "THAI": "Thai",
}
"""First word of a letter's Unicode name to its script."""
_OTHER, _NONE = "other", "no letters"


@lru_cache(maxsize=1 << 15)
def _script_of_character(character: str) -> str | None:
    if not character.isalpha():
        return None
    return _SCRIPTS.get(name(character, "").split(" ", 1)[0].split("-", 1)[0], _OTHER)


def script_of(text: str) -> str:
    """Return the script of most letters among a text's first 200 characters.

    Text with a tenth of Kana among Han is Kana (Japanese is written in both).
    """
    start = text[:_LOOKED_AT]
    if start.isascii():
        return "Latin" if any(character.isalpha() for character in start) else _NONE
    counts = Counter(script for character in start if (script := _script_of_character(character)))
    if not counts:
        return _NONE
    most = counts.most_common(1)[0][0]
    return "Kana" if most == "Han" and counts["Kana"] * 9 >= counts["Han"] else most


def shares(counts: Counter[str]) -> dict[str, float]:
    """Return parts of a whole, largest first."""
    total = sum(counts.values())
    return {name: count / total for name, count in counts.most_common()}
