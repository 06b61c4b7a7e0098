"""What the hub's cache on this machine holds of a model, and what it lacks; the network is never touched.

The cache's layout (``snapshots/<commit>``, ``refs``, ``.no_exist``, ``trees``) is huggingface_hub's, see
https://huggingface.co/docs/huggingface_hub/guides/manage-cache. Only newer versions of it keep a list of a
commit's files (``trees``); without one, what a checkpoint cannot do without is looked for.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = [
    "CachedModel",
    "MissingFiles",
    "cached_commits",
    "find_cached",
    "is_commit",
    "missing_from_adapter",
    "missing_from_model",
    "pickled_in_place_of",
]

MissingFiles = Callable[[Path], list[str]]
"""Returns the names of files that a folder lacks and a model cannot do without."""

_COMMIT = re.compile("[0-9a-f]{40}")
_VOCABULARIES = ("vocab.txt", "vocab.json", "sentencepiece.bpe.model", "spiece.model", "tokenizer.model")
_SAFE, _PICKLED = "model.safetensors", "pytorch_model.bin"
_SHARD = re.compile(r"-\d+-of-\d+\.")
_WITH_WEIGHTS = ("Dense", "LayerNorm")
_WITHOUT_FILES = ("Normalize",)


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedModel:
    """A commit of a model in the cache.

    Attributes:
        folder: Its snapshot.
        missing: Files that it lacks and the model cannot do without; empty if it can be used.
        is_proven: Whether it is known that the repository has nothing more that matters: it was listed, or the
            files that settle how the model is used are there, or are known not to exist.
    """

    folder: Path
    missing: tuple[str, ...]
    is_proven: bool

    @property
    def is_whole(self) -> bool:
        """Whether nothing is missing."""
        return not self.missing


def is_commit(revision: str | None) -> bool:
    """Return whether a revision can never move."""
    return revision is not None and _COMMIT.fullmatch(revision) is not None


def find_cached(
    repo_id: str,
    *,
    revision: str | None,
    patterns: Sequence[str],
    missing: MissingFiles,
    settled_by: Sequence[str],
    allow_pickle: bool,
) -> CachedModel | None:
    """Return what the cache holds of a revision; None if it has no folder for it.

    Args:
        repo_id: ``organisation/name``.
        revision: Commit, tag or branch; None means ``main``.
        patterns: Files that are wanted, if the repository has them.
        missing: Tells what a folder lacks.
        settled_by: Files without which it is not known that the repository has nothing more.
        allow_pickle: Whether pickled weights will do; the repository may have better ones.
    """
    from huggingface_hub import snapshot_download

    listed_missing: list[str] = []
    try:
        found: str = snapshot_download(repo_id, revision=revision, local_files_only=True, allow_patterns=list(patterns))
    except Exception as error:  # noqa: BLE001 - whatever is wrong with the cache, it does not hold the model
        # Newer versions say that files are missing, and where the others are.
        found = getattr(error, "snapshot_path", "")
        if not found:
            return None
        listed_missing = ["files that its list names (" + _in_brackets(str(error)) + ")"]
    folder = Path(found)
    lacks = missing(folder) or listed_missing
    has_weights = allow_pickle or any(folder.glob("*.safetensors"))
    is_proven = _is_listed(folder) or (has_weights and _is_settled(folder, settled_by))
    return CachedModel(folder=folder, missing=tuple(lacks), is_proven=is_proven)


def cached_commits(repo_id: str) -> list[str]:
    """Return the commits of a model that the cache has anything of."""
    from huggingface_hub import constants

    snapshots = Path(constants.HF_HUB_CACHE) / f"models--{repo_id.replace('/', '--')}" / "snapshots"
    try:
        return sorted(entry.name for entry in snapshots.iterdir())
    except (OSError, ValueError):
        return []


def missing_from_model(
    folder: Path, *, allow_pickle: bool = False, trust_remote_code: bool = False, heads: Sequence[str] = ()
) -> list[str]:
    """Return the files that a checkpoint lacks and cannot be loaded without.

    Args:
        folder: The checkpoint.
        allow_pickle: Whether ``*.bin`` and ``*.pt`` files may be used in the place of safetensors. If not, they do
            not count as missing: that they are there and not allowed is an error with a way out of its own.
        trust_remote_code: Whether Python files that the config names are needed.
        heads: Names, without their ending, of side files that are needed.
    """
    if not _is_file(folder, "config.json"):
        return ["config.json"]
    lacks = list(_missing_weights(folder))
    if not any(_is_file(folder, name) for name in ("tokenizer.json", *_VOCABULARIES)):
        lacks.append("tokenizer.json")
    lacks += _missing_modules(folder)
    if trust_remote_code:
        lacks += [name for name in _code_files(_json(folder / "config.json")) if not _is_file(folder, name)]
    if allow_pickle:
        lacks += [f"{name}.pt" for name in heads if not _any_file(folder, f"{name}.pt", f"{name}.safetensors")]
    return lacks


def pickled_in_place_of(folder: Path, *, heads: Sequence[str]) -> list[str]:
    """Return the pickled files that would be read in the place of safetensors that a checkpoint lacks.

    Args:
        folder: The checkpoint, with all of its JSON and safetensors files.
        heads: Names, without their ending, of side files that it may have.
    """
    lacks = [*_missing_weights(folder), *_missing_modules(folder)]
    named = [f"{name.removesuffix(_SAFE)}{_PICKLED}" if name.endswith(_SAFE) else name for name in lacks]
    side = [f"{name}.pt" for name in heads if not _is_file(folder, f"{name}.safetensors")]
    return [name for name in named if name.endswith(".bin")] + side


def missing_from_adapter(folder: Path) -> list[str]:
    """Return the files that a LoRA adapter lacks; pickled weights count, since refusing them has a way out."""
    weights = ["adapter_model.safetensors", "adapter_model.bin"]
    lacks = [] if _is_file(folder, "adapter_config.json") else ["adapter_config.json"]
    return lacks if _any_file(folder, *weights) else [*lacks, weights[0]]


def _missing_weights(folder: Path) -> Iterator[str]:
    for index, ending in ((f"{_SAFE}.index.json", "safetensors"), (f"{_PICKLED}.index.json", "bin")):
        if _is_file(folder, index):
            weight_map = _json(folder / index).get("weight_map")
            shards = set(weight_map.values()) if isinstance(weight_map, dict) else set()
            yield from sorted(str(shard) for shard in shards if not _is_file(folder, str(shard)))
            return
        files = [path.name for path in folder.glob(f"*.{ending}") if _is_file(folder, path.name)]
        if files:
            if any(_SHARD.search(name) for name in files):
                yield index
            return
    yield _SAFE


def _missing_modules(folder: Path) -> Iterator[str]:
    listed = _json(folder / "modules.json", kind=list)
    for entry in listed:
        place = entry.get("path") if isinstance(entry, dict) else None
        if not isinstance(place, str) or not place:
            continue
        name = str(entry.get("type", "")).rsplit(".", 1)[-1]
        if name not in _WITHOUT_FILES and not _is_file(folder, f"{place}/config.json"):
            yield f"{place}/config.json"
        weights = [f"{place}/{_SAFE}", f"{place}/{_PICKLED}"]
        if name in _WITH_WEIGHTS and not _any_file(folder, *weights):
            yield weights[0]


def _code_files(config: Any) -> list[str]:
    named = config.get("auto_map")
    values = list(named.values()) if isinstance(named, dict) else []
    return sorted({f"{value.split('.', 1)[0]}.py" for value in values if isinstance(value, str) and "--" not in value})


def _is_listed(folder: Path) -> bool:
    return _is_file(folder.parent.parent, f"trees/{folder.name}.json")


def _is_settled(folder: Path, names: Sequence[str]) -> bool:
    known_absent = folder.parent.parent / ".no_exist" / folder.name
    return all(_is_file(folder, name) or _is_file(known_absent, name) for name in names)


def _in_brackets(text: str) -> str:
    found = re.search(r"missing \((.*?)\)\.", text)
    return found[1] if found else text


def _is_file(folder: Path, name: str) -> bool:
    # os.path's does not raise, whatever the name; a link whose file is gone is no file.
    return os.path.isfile(folder / name)  # noqa: PTH113


def _any_file(folder: Path, *names: str) -> bool:
    return any(_is_file(folder, name) for name in names)


def _json(path: Path, *, kind: type[Any] = dict) -> Any:
    """Return a file's content, or nothing of that kind if it cannot be read: reading it is the loader's business."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return kind()
    return content if isinstance(content, kind) else kind()
