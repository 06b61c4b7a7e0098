"""Text of others in a terminal: shown, never obeyed.

A document, a file name or a model's name may hold control characters: they move the cursor, colour or hide what
follows, make links (OSC 8), or turn the direction of writing. :func:`visible` spells them out;
a :class:`Screen` does so with
everything that is printed on it, and knows no markup, so that "[bold]" and ":smile:" in a document stay what they are.
"""

from __future__ import annotations

import json
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.text import Text

from rerank_plugins.display.hidden import HIDDEN, visible

__all__ = ["Screen", "json_text", "visible"]


def json_text(value: Any, *, only_ascii: bool, indent: int | None = None) -> str:
    r"""Return JSON in which no control character is left raw, ``\u009b`` and changes of direction included."""
    text = json.dumps(value, ensure_ascii=only_ascii, indent=indent)
    return HIDDEN.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


class Screen(Console):
    """A rich console for texts of others: no markup, no emoji codes, no guessed highlights, nothing invisible.

    Args:
        stderr: Print on stderr.
        width: Columns; None takes the terminal's.
    """

    def __init__(self, *, stderr: bool = False, width: int | None = None) -> None:
        super().__init__(stderr=stderr, width=width, markup=False, emoji=False, highlight=False)

    def render_str(self, text: str, **options: Any) -> Text:
        """Return a string as rich text, spelled out."""
        return super().render_str(visible(text), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Any:
        """Yield the segments of what is printed; rich text is spelled out first."""
        return super().render(_spelled_text(renderable), options)

    def print(self, *objects: Any, **options: Any) -> None:
        """Print as rich does, with rich text spelled out before it is joined to other objects."""
        super().print(*map(_spelled_text, objects), **options)

    def set_window_title(self, title: str) -> bool:
        """Change nothing: a title would be a control sequence around somebody's text."""
        return False


def _spelled_text(value: Any) -> Any:
    """Return rich text with its hidden characters spelled out, then in its base style only; anything else as it is."""
    if isinstance(value, Text) and HIDDEN.search(value.plain):
        return value.blank_copy(visible(value.plain))
    return value
