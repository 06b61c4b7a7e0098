"""The weighted mean of checkpoints, written file by file."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from rerank_plugins.training.merging.folders import ModelFolder, module_folders

__all__ = ["write_average"]

_TEXTS = (".json", ".txt", ".model", ".jinja", ".py")
_LEFT_OUT = (
    "training.json",
    "trainer_state.json",
    "merge.json",
    "README.md",
    "adapter_config.json",
    "calibration.json",
)


def write_average(folders: Sequence[ModelFolder], shares: Sequence[float], target: Path) -> int:
    """Write ``sum_i share_i * weights_i`` into a folder, with config and tokenizer of the first checkpoint.

    LM-Cocktail (Xiao et al. 2023, arXiv 2311.13534) with ``w * tuned + (1 - w) * base``. Sums are in float32; what is
    written has the widest precision of the checkpoints, and 8- or 4-bit rows become float32.

    Args:
        folders: The checkpoints; they go together (:func:`~rerank_plugins.training.merging.folders.check_mergeable`).
        shares: One for each.
        target: An empty folder.

    Returns:
        Number of tensors.

    Raises:
        OSError: It cannot be written.
    """
    first = folders[0]
    kinds = {one.dtype for one in folders}
    dtype = kinds.pop() if len(kinds) == 1 else torch.float32
    common = set.intersection(*(one.names for one in folders))
    _copy_texts(first.path, target)
    n_tensors = 0
    for file, names in first.files.items():
        kept = [name for name in names if name in common]
        merged = {name: _average(folders, shares, name).to(dtype).contiguous() for name in kept}
        _save(merged, target / file)
        n_tensors += len(kept)
    _keep_in_index(target / "model.safetensors.index.json", common)
    return n_tensors


def _average(folders: Sequence[ModelFolder], shares: Sequence[float], name: str) -> Tensor:
    total: Tensor | None = None
    for folder, share in zip(folders, shares, strict=True):
        if share == 0:
            continue
        part = folder.read(name) * share if share != 1 else folder.read(name)
        total = part if total is None else total + part
    return folders[0].read(name) if total is None else total


def _save(tensors: dict[str, Tensor], path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    if path.suffix == ".pt":
        torch.save({name.removeprefix(f"{path.name}/"): value for name, value in tensors.items()}, path)
        return
    prefix = f"{path.parent.name}/"
    save_file({name.removeprefix(prefix): value for name, value in tensors.items()}, path, metadata={"format": "pt"})


def _keep_in_index(path: Path, names: set[str]) -> None:
    """Take out of the index of a checkpoint in several files what was not written."""
    if path.is_file():
        index = json.loads(path.read_text(encoding="utf-8"))
        index["weight_map"] = {name: file for name, file in index["weight_map"].items() if name in names}
        path.write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")


def _copy_texts(source: Path, target: Path) -> None:
    """Copy what says how the model is read; not how it was trained, nor what was fitted to its own scores."""
    modules = [module / "config.json" for module in module_folders(source)]
    for path in (*source.glob("*"), *modules):
        name = path.relative_to(source)
        if path.is_file() and path.suffix in _TEXTS and path.name not in _LEFT_OUT:
            (target / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(path, target / name)
    # What a quantised checkpoint says about its precision no longer holds.
    config = json.loads((target / "config.json").read_text(encoding="utf-8"))
    for key in ("dtype", "torch_dtype"):
        config.pop(key, None)
    (target / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
