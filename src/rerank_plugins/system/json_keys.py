"""Keys of JSON objects, each of which stands once."""

from __future__ import annotations

from typing import Any

__all__ = ["without_repetition"]


def without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the object of some pairs, for the ``object_pairs_hook`` of :mod:`json`.

    Raises:
        ValueError: A key stands twice. Python keeps the last value without a word, so that a query or a judgement would
            be another than people read in the file.
    """
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            msg = f"the key {key!r:.60} stands twice in one object; leave one of them"
            raise ValueError(msg)
        seen.add(key)
    return found
