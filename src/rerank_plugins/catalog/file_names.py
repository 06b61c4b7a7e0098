"""Where a checkpoint's file names another: plain names inside the folder, nothing else.

Such names come from whoever wrote the checkpoint. ``/etc/passwd``, ``../x.safetensors`` and the pickle ``w.bin`` would
be opened by whatever follows them. Links in the file system are followed: they come from whoever made the folder, and
the hub's cache consists of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rerank_plugins.catalog.json_files import read_object
from rerank_plugins.errors import UnsafeModelError, UnsupportedModelError

__all__ = [
    "OTHER_WEIGHTS",
    "check_indexes",
    "check_named_by_config",
    "check_named_files",
    "named_file",
    "named_folder",
    "weight_files",
]

_PLAIN = re.compile(r"[\w+=@~-][\w .+=@~-]{0,200}", re.ASCII)
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
_INDEXES = {".safetensors.index.json": ".safetensors", ".bin.index.json": ".bin"}
"""By the ending of an index: that of the files that it names."""
OTHER_WEIGHTS = "transformers_weights"
"""Key of a config under which transformers finds the name of other weights than ``model.safetensors``."""
_OTHER_CONFIGS = "configuration_files"


def named_file(folder: Path, name: object, *, named_by: str, ending: str = "") -> Path:
    """Return the path of a file that another file names.

    Args:
        folder: The folder that holds both.
        name: What was found in the other file.
        named_by: That file, for the message.
        ending: What the name must end in.

    Raises:
        UnsafeModelError: It is no plain name (separators, ``..``, drives, leading dots), or ends otherwise.
    """
    is_plain = isinstance(name, str) and _PLAIN.fullmatch(name) is not None and not _DEVICES.fullmatch(name)
    if not isinstance(name, str) or not is_plain or not name.endswith(ending) or name.endswith((" ", ".")):
        wanted = f"ending in {ending!r}, " if ending else ""
        msg = (
            f"{named_by} in {str(folder)!r} names {str(name)[:200]!r}. A checkpoint's file may name plain files of its "
            f"own folder only, {wanted}without a path. Do not use it unless you know why it says that; choose a "
            "revision whose files are named so."
        )
        raise UnsafeModelError(msg)
    return folder / name


def named_folder(folder: Path, name: object, *, named_by: str) -> Path:
    """Return the path of a folder that a file names, or ``folder`` itself for an empty name or None.

    Raises:
        UnsafeModelError: See :func:`named_file`.
    """
    return folder if name is None or name == "" else named_file(folder, name, named_by=named_by)


def check_indexes(folder: Path) -> None:
    """Check every index that says which file a tensor is in: safetensors' names files of its own kind only.

    Raises:
        UnsafeModelError: A name leads out of the folder, or to a file of another kind.
        UnsupportedModelError: An index is damaged, or names a file that is not there.
    """
    indexes = [(path.name, ending) for kind, ending in _INDEXES.items() for path in sorted(folder.glob(f"*{kind}"))]
    for index, ending in indexes:
        _indexed_files(folder, index, ending=ending)


def weight_files(folder: Path) -> list[Path]:
    """Return the safetensors files that hold a checkpoint's weights: those that transformers reads.

    A folder may hold others beside them, such as an earlier state under the same names. Where transformers would find
    none, all that are there count.

    Raises:
        UnsafeModelError: A name leads out of the folder, or to a file of another kind.
        UnsupportedModelError: The config or an index is damaged, or names a file that is not there.
    """
    config = read_object(folder / "config.json")
    check_named_by_config(config, folder)
    named: str | None = config.get(OTHER_WEIGHTS)
    for name in ("model.safetensors", "model.safetensors.index.json") if named is None else (named,):
        if (folder / name).is_file():
            return _indexed_files(folder, name) if name.endswith(".json") else [folder / name]
    if named is not None:
        msg = f"{str(folder / 'config.json')!r} names {named}, which is not there; is the download complete?"
        raise UnsupportedModelError(msg)
    return sorted(folder.glob("*.safetensors"))


def _indexed_files(folder: Path, index: str, *, ending: str = ".safetensors") -> list[Path]:
    named = read_object(folder / index).get("weight_map")
    if not isinstance(named, dict) or not named:
        msg = f"{str(folder / index)!r} has no weight_map of tensors and files; download the checkpoint again"
        raise UnsupportedModelError(msg)
    paths = [named_file(folder, name, named_by=index, ending=ending) for name in _different(named.values())]
    lost = [path.name for path in paths if not path.is_file()]
    if lost:
        msg = f"{str(folder / index)!r} names {', '.join(lost[:4])}, which are not there; is the download complete?"
        raise UnsupportedModelError(msg)
    return paths


def check_named_by_config(config: Mapping[str, Any], folder: Path) -> None:
    """Check what a ``config.json`` tells transformers to read instead of the files that were looked at here.

    Raises:
        UnsafeModelError: Weights out of the folder or of another format, or another config.
    """
    weights = config.get(OTHER_WEIGHTS)
    if weights is not None:
        is_index = isinstance(weights, str) and weights.endswith(".json")
        ending = ".safetensors.index.json" if is_index else ".safetensors"
        named_file(folder, weights, named_by=f"{OTHER_WEIGHTS} of config.json", ending=ending)
    if config.get(_OTHER_CONFIGS):
        msg = (
            f"{str(folder / 'config.json')!r} has {_OTHER_CONFIGS}, with which transformers reads another config than "
            "this one. Remove the key, or save the model again with save_pretrained()."
        )
        raise UnsafeModelError(msg)


def check_named_files(folder: Path, settings: Iterable[tuple[str, object]], *, named_by: str) -> None:
    """Check the settings that name a file (``vocab_file``, ``tokenizer_file``) before other code follows them.

    Saved tokenizers often hold the path of the machine that wrote them; one that leads nowhere here is harmless.

    Raises:
        UnsafeModelError: One leads to a file outside the folder.
    """
    for key, name in settings:
        if key.endswith("_file") and isinstance(name, str) and _leads_out(name):
            named_file(folder, name, named_by=f"{key} of {named_by}")


def _leads_out(name: str) -> bool:
    try:
        return ("/" in name or "\\" in name) and Path(name).expanduser().exists()
    except (OSError, ValueError, RuntimeError):
        return False


def _different(values: Iterable[object]) -> list[object]:
    seen: dict[str, object] = {}
    for value in values:
        seen.setdefault(value if isinstance(value, str) else repr(value), value)
    return list(seen.values())
