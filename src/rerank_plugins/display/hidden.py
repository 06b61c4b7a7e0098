"""Characters that are obeyed instead of shown: control characters, and those that turn the direction of writing."""

from __future__ import annotations

import re
from html import escape

__all__ = ["HIDDEN", "escaped", "visible"]

# C0 without tab and line feed, DEL, C1; marks, embeddings, overrides and isolates of direction; line and paragraph
# separators; surrogates, which stand for bytes of file names that are no UTF-8. Joiners stay.
HIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def escaped(text: str) -> str:
    """Return a text for HTML; a lone surrogate, which no notebook can send to its page, as U+FFFD."""
    return escape(_LONE_SURROGATE.sub("\ufffd", text))


def visible(text: str) -> str:
    r"""Return a text with its control characters spelled out, ``\x1b`` for an escape; tabs and line feeds stay."""
    return HIDDEN.sub(lambda match: _spelled(ord(match[0])), text)


def _spelled(code: int) -> str:
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
