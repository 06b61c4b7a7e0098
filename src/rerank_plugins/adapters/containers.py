"""Copies of what a document's metadata holds, so that a result can be written to and its original stays as it is."""

from __future__ import annotations

import copy
from typing import Any

__all__ = ["own_containers"]


def own_containers(value: Any) -> Any:
    """Return ``value`` with its dictionaries, lists and sets copied at any depth, and everything else shared.

    What cannot be copied (clients, locks) or need not be (arrays) is left alone, unlike by ``copy.deepcopy``; cycles
    stay cycles.
    """
    return _copied(value, {})


def _copied(value: Any, seen: dict[int, Any]) -> Any:
    if id(value) in seen:
        return seen[id(value)]
    if isinstance(value, dict):
        copied = seen[id(value)] = copy.copy(value)
        for key, item in value.items():
            copied[key] = _copied(item, seen)
        return copied
    if isinstance(value, list):
        items = seen[id(value)] = copy.copy(value)
        items[:] = [_copied(item, seen) for item in value]
        return items
    if type(value) is tuple:
        return tuple(_copied(item, seen) for item in value)
    return set(value) if type(value) is set else value
