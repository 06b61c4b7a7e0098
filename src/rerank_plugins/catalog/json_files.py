"""JSON files of a checkpoint: somebody else's, so they are bounded in size and depth before anything believes them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NoReturn

from rerank_plugins.errors import UnsupportedModelError

__all__ = ["MOST_JSON_BYTES", "is_there", "read_json", "read_object"]

MOST_JSON_BYTES = 64_000_000
"""A config is a few kilobytes, the index of the largest models a few megabytes."""
_DEEPEST = 64
"""Objects and lists inside each other; configs have up to five."""


def is_there(path: Path) -> bool:
    """Return whether a checkpoint has a file that it may have or not.

    Raises:
        UnsupportedModelError: The name is there and no file behind it: a link to a blob that was not copied along, a
            loop of links, a folder or a pipe. Going on as if it had never been there would change scores.
    """
    if path.is_file():
        return True
    if os.path.lexists(path):
        kind = "a link that leads to no file" if path.is_symlink() else "no plain file"
        msg = (
            f"{str(path)!r} is {kind}. Copy the checkpoint again with the files that its links lead to (cp -rL), or "
            "download it again"
        )
        raise UnsupportedModelError(msg)
    return False


def read_object(path: Path) -> Mapping[str, Any]:
    """Return the object in a JSON file, without the keys that are null: they are not set. Empty if there is no file.

    Raises:
        UnsupportedModelError: The file holds something else, or :func:`read_json` or :func:`is_there` refuses it.
    """
    if not is_there(path):
        return MappingProxyType({})
    found = read_json(path)
    if not isinstance(found, dict):
        _refuse(path, f"it holds a {type(found).__name__}, expected an object")
    return MappingProxyType({name: value for name, value in found.items() if value is not None})


def read_json(path: Path) -> Any:
    """Return what a JSON file holds.

    Raises:
        UnsupportedModelError: It cannot be read, is no JSON in UTF-8, is too large, or nested too deeply.
    """
    try:
        with path.open("rb") as stored:
            content = stored.read(MOST_JSON_BYTES + 1)
        if len(content) > MOST_JSON_BYTES:
            _refuse(path, f"it is larger than {MOST_JSON_BYTES} bytes")
        found = json.loads(content.decode("utf-8"))
    except RecursionError as error:
        _refuse(path, f"it is nested deeper than {_DEEPEST} levels", error)
    # A ValueError: not JSON, not UTF-8, or a number of more digits than Python converts.
    except (OSError, ValueError) as error:
        _refuse(path, str(error), error)
    if not _is_shallow(found):
        _refuse(path, f"it is nested deeper than {_DEEPEST} levels")
    return found


def _is_shallow(value: object) -> bool:
    level = [value]
    for _ in range(_DEEPEST):
        level = [inner for one in level if isinstance(one, (dict, list)) for inner in _members(one)]
        if not level:
            return True
    return False


def _members(value: dict[str, Any] | list[Any]) -> list[Any]:
    return list(value.values()) if isinstance(value, dict) else value


def _refuse(path: Path, why: str, cause: Exception | None = None) -> NoReturn:
    msg = f"{str(path)!r} is not valid JSON of a checkpoint ({why}); download the checkpoint again"
    raise UnsupportedModelError(msg) from cause
