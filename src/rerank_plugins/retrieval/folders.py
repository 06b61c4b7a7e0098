"""Where the folders are that a saved retriever names from the working directory in which it was made."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rerank_plugins.catalog.names import existing_folder
from rerank_plugins.catalog.spec import ModelKind
from rerank_plugins.catalog.table import find_by_id

__all__ = ["folders_of", "with_folders"]

_MAY_BE_FOLDERS = ("model", "peft_path", "vectors")


def folders_of(options: Mapping[str, Any], *, kind: ModelKind) -> dict[str, str]:
    """Return the absolute paths of what options name from the working directory; a name of the catalog is no path."""
    found = {}
    for name in _MAY_BE_FOLDERS:
        value = options.get(name)
        if value is None or Path(value).expanduser().is_absolute() or existing_folder(value) is None:
            continue
        if name != "model" or find_by_id(value, kind=kind) is None:
            found[name] = str(Path(value).absolute())
    return found


def with_folders(entry: Any) -> Any:
    """Return the settings of a saved model with the absolute path of a folder that its own name does not lead to.

    Args:
        entry: With ``options``, and ``folders`` as :func:`folders_of` found them; None stays None.
    """
    if entry is None:
        return None
    named = {**entry["options"], **entry}
    moved = {
        name: path
        for name, path in entry.get("folders", {}).items()
        if existing_folder(named[name]) is None and existing_folder(path) is not None
    }
    # A model's name stands beside its options, or among them.
    of_options = {name: path for name, path in moved.items() if name in entry["options"]}
    beside = {name: path for name, path in moved.items() if name in entry}
    return {**entry, **beside, "options": {**entry["options"], **of_options}}
