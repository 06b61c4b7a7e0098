"""The part of a saved retriever that belongs to a framework's adapter: its form of each document, and its settings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rerank_plugins.errors import InvalidInputError

__all__ = ["NOT_KEPT", "Attached", "as_json", "check_kept", "read_attached", "write_attached"]

NOT_KEPT = frozenset(
    {"device", "dtype", "local_files_only", "allow_pickle", "trust_remote_code", "torch_compile", "callback_manager"}
)
"""Options of an adapter's reranker that are not saved: whoever loads the folder decides device and permissions."""

_FILE = "attached.jsonl"
_PLAIN = "use strings, numbers, lists, and dicts with strings as keys"


@dataclass(frozen=True, slots=True)
class Attached:
    """The adapter's part of a saved retriever.

    Attributes:
        name: The adapter's name; only this adapter can read the part.
        settings: Plain JSON.
        documents: Document id to plain JSON, in the order of the texts.
    """

    name: str
    settings: Mapping[str, Any]
    documents: Mapping[str, Any]

    @property
    def header(self) -> dict[str, Any]:
        """The entry in the retriever's settings."""
        return {"name": self.name, "settings": dict(self.settings)}


def as_json(value: Any, *, owner: str) -> Any:
    """Return a value after a round trip through JSON, or raise InvalidInputError if that changes it.

    Args:
        value: Anything.
        owner: What it belongs to, for the message.
    """
    try:
        made = json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        msg = f"{owner} is not plain JSON and cannot be saved ({error}); {_PLAIN}"
        raise InvalidInputError(msg) from error
    if made != value:
        msg = f"{owner} would come back from JSON as something else, so it cannot be saved; {_PLAIN}"
        raise InvalidInputError(msg)
    return made


def check_kept(options: Mapping[str, Any], *, folder: Path) -> None:
    """Raise InvalidInputError if options in a folder have one that no folder decides."""
    found = sorted(NOT_KEPT & options.keys())
    if found:
        msg = f"{str(folder)!r} sets {', '.join(found)} of its reranker, which no folder decides; pass reranker=..."
        raise InvalidInputError(msg)


def write_attached(folder: Path, attached: Attached) -> None:
    """Write an adapter's documents."""
    lines = (f"{json.dumps([key, document])}\n" for key, document in attached.documents.items())
    with (folder / _FILE).open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(lines)


def read_attached(folder: Path, header: object, *, name: str, ids: list[str]) -> Attached:
    """Read an adapter's part.

    Args:
        folder: The folder.
        header: What the retriever's settings have of it.
        name: The adapter's.
        ids: The documents that there must be.

    Raises:
        InvalidInputError: Another adapter saved it, or the core, or it is damaged.
    """
    maker = header.get("name") if isinstance(header, dict) else None
    if not isinstance(header, dict) or maker != name:
        by = "the core's TwoStageRetriever" if maker is None else f"the {maker!r} adapter"
        msg = f"{str(folder)!r} was saved by {by}, which keeps no documents of {name}; load it there, or index anew"
        raise InvalidInputError(msg)
    try:
        lines = (folder / _FILE).read_text(encoding="utf-8").split("\n")
        documents = dict(json.loads(line) for line in lines if line)
    except (OSError, TypeError, ValueError, RecursionError) as error:
        msg = f"the documents of {str(folder)!r} could not be read ({error}); save the retriever again"
        raise InvalidInputError(msg) from error
    settings = header.get("settings")
    if list(documents) != ids or not isinstance(settings, dict):
        msg = f"{str(folder)!r} is damaged: its documents are not those of its texts; save the retriever again"
        raise InvalidInputError(msg)
    return Attached(name, settings, documents)
