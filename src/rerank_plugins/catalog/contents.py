"""Which files a checkpoint has, whatever its folder is called and whenever they were written."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterator
from functools import lru_cache
from pathlib import Path

from rerank_plugins.catalog.cached import is_commit
from rerank_plugins.catalog.checkpoint import CheckpointFiles
from rerank_plugins.checks.boundary import checkpoint_errors

__all__ = ["Fingerprint", "contents_key", "weights_key"]

Fingerprint = tuple[tuple[str, int, int], ...]
"""See :attr:`~rerank_plugins.catalog.checkpoint.CheckpointFiles.fingerprint`."""

_BLOCK_BYTES = 1 << 20
_NUMBERS = re.compile(r"(.*[/\\])?([^/\\]+\.safetensors|pytorch_model[^/\\]*\.bin|colbert_linear\.pt)")
_TOKENIZER = "tokenizer.json"
_weights: dict[tuple[Path, Fingerprint], str] = {}
"""Keys of weights by folder and fingerprint, of this process."""


@checkpoint_errors("read the model's files")
def contents_key(files: CheckpointFiles, *, loaded: Fingerprint) -> str:
    """Return a key of a checkpoint's files that is the same in every process, and on every machine that has them.

    A snapshot of the hub's cache is known by its repository and commit. The files of any other folder are read, all but
    what is for people (``*.md``) and hidden ones; once in a process as long as they stay as they are. Of a folder that
    was written again since the model was loaded, the names, sizes and times are all that is left: that key is known
    on this machine alone.

    Args:
        files: The checkpoint.
        loaded: Their fingerprint when the model was loaded.

    Raises:
        ModelError: A file cannot be read.
    """
    folder = files.folder
    if folder.parent.name == "snapshots" and is_commit(folder.name):
        return f"{folder.parent.parent.name}@{folder.name}"
    if files.fingerprint != loaded:
        return hashlib.sha256(repr((str(folder), loaded)).encode()).hexdigest()
    return _of_contents(folder, loaded)


@checkpoint_errors("read the model's files")
def weights_key(files: CheckpointFiles, *, loaded: Fingerprint) -> str:
    """Return a key of a checkpoint's files of weights and of its ``tokenizer.json``, wherever the folder lies.

    The files are read, of the hub's cache too: the same weights may lie in a folder beside it. Once in a process as
    long as they stay as they are. Pickles beside safetensors of the same name do not count, since nothing reads them.
    Of weights that were written again since the model was loaded, the key is the one from before if it was asked for
    then, else one that no other folder has.

    Args:
        files: The checkpoint.
        loaded: Their fingerprint when the model was loaded.

    Raises:
        ModelError: A file cannot be read.
    """
    chosen = _deciding(loaded)
    known = _weights.get((files.folder, chosen))
    if known is not None:
        return known
    # What is read is what was loaded, if nothing was written before or while it is read.
    made = _of_contents(files.folder, chosen) if _is_there(files, chosen) else ""
    if not _is_there(files, chosen):
        return hashlib.sha256(repr((str(files.folder), loaded)).encode()).hexdigest()
    return _weights.setdefault((files.folder, chosen), made)


def _is_there(files: CheckpointFiles, chosen: Fingerprint) -> bool:
    """Return whether files are as they were; those of a folder that was removed are not."""
    return files.folder.is_dir() and _deciding(files.fingerprint) == chosen


def _deciding(fingerprint: Fingerprint) -> Fingerprint:
    names = {name for name, *_ in fingerprint}
    return tuple(one for one in fingerprint if _decides(one[0], names))


def _decides(name: str, names: Collection[str]) -> bool:
    if name == _TOKENIZER:
        return True
    path = Path(name)
    pickled_for = {"pytorch_model": "model"}.get(path.stem, path.stem)
    is_unread = path.suffix != ".safetensors" and str(path.with_name(f"{pickled_for}.safetensors")) in names
    return _NUMBERS.fullmatch(name) is not None and not is_unread


@lru_cache(maxsize=64)
def _of_contents(folder: Path, fingerprint: Fingerprint) -> str:
    digest = hashlib.sha256()
    for name, size, _ in fingerprint:
        path = folder / name
        if path.suffix == ".md" or path.name.startswith("."):
            continue
        digest.update(f"{Path(name).as_posix()}\0{size}\0".encode())
        for block in _blocks(path):
            digest.update(block)
    return digest.hexdigest()


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            yield block
