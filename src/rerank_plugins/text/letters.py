"""Which characters belong together: letters and their marks, and scripts that are written without spaces.

For Python's ``re`` a vowel sign of Hindi or Thai, or an accent that is a character of its own, is no part of a word.
"""

from __future__ import annotations

from functools import cache
from unicodedata import category

__all__ = ["SOUTH_EAST_ASIAN", "WITHOUT_SPACES", "marks"]

SOUTH_EAST_ASIAN = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
"""Thai and Lao, Burmese, Khmer."""

WITHOUT_SPACES = (
    f"{SOUTH_EAST_ASIAN}\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
"""Ranges for a character class: scripts that are written without spaces between words."""

_FIRST_MARK, _LAST_MARK = 0x300, 0xFFFF
_JOINERS = "\u200c\u200d"


@cache
def marks() -> str:
    """Return characters for a character class: those that belong to the one before them, joiners included.

    Marks of the scripts beyond the first 65,536 characters are left out: nobody's documents are written in them, and
    ``re`` would look for each of them one by one.
    """
    return "".join(one for one in map(chr, range(_FIRST_MARK, _LAST_MARK + 1)) if category(one)[0] == "M") + _JOINERS
