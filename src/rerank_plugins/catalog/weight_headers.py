"""What the headers of a checkpoint's safetensors files say, read without torch and before anything is built.

They tell the shapes that really are there, so a config that claims a billion layers is refused before somebody builds
them. No tensor is read: the files are only mapped.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from safetensors import SafetensorError, safe_open

from rerank_plugins.catalog.fields import COUNTS, POSITIONS, SIZES
from rerank_plugins.errors import UnsupportedModelError

__all__ = ["BASE_KEY", "StoredTensor", "check_claims", "named_base", "read_header", "read_headers"]

BASE_KEY = "rerank_plugins.base"
"""Metadata of weights that build on others (:mod:`rerank_plugins.weights.own_rows`): the name of a folder beside."""

_FREE_WEIGHTS, _FREE_LAYERS = 64_000_000, 256
"""What a config may claim whatever is stored: 256 MB; models that share one layer's weights (ALBERT) run it often."""
_MOST_CLAIMED = 16
"""How many times more weights a config may claim than there are: shared layers and experts are counted as often."""
_DENSE_WIDTH = "intermediate_size"
_EXPERTS = ("num_local_experts", "num_experts", "n_routed_experts")


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """One tensor in a file: its precision in safetensors' words (``F32``), its shape, and the file."""

    dtype: str
    shape: tuple[int, ...]
    file: Path


def read_headers(folder: Path) -> dict[str, StoredTensor]:
    """Return the tensors of a folder's safetensors files by name; none is read.

    Raises:
        UnsupportedModelError: A file is cut off, or its header is not one.
    """
    return {name: one for path in sorted(folder.glob("*.safetensors")) for name, one in read_header(path).items()}


def named_base(path: Path) -> str | None:
    """Return the name of the folder that a file's weights build on; None if they are whole, or cannot be read."""
    try:
        with safe_open(str(path), framework="np") as stored:
            name: str | None = (stored.metadata() or {}).get(BASE_KEY)
            return name
    except (OSError, SafetensorError):
        return None


def check_claims(config: Mapping[str, Any], stored: Mapping[str, StoredTensor], *, folder: Path) -> None:
    """Compare the sizes that a config claims with the weights.

    Args:
        config: ``config.json``; sizes of the right type.
        stored: What is there. Empty if the weights are pickled: nothing is compared then.
        folder: The checkpoint, for the error.

    Raises:
        UnsupportedModelError: The config describes a model that cannot be this one.
    """
    if not stored:
        return
    widest = max((size for one in stored.values() for size in one.shape), default=0)
    deepest = 1 + max((int(part) for name in stored for part in name.split(".") if _is_index(part)), default=0)
    elements = sum(math.prod(one.shape) for one in stored.values())
    for part in (config, *(value for value in config.values() if isinstance(value, Mapping))):
        for name in (*COUNTS, *SIZES):
            limit = max(deepest, _FREE_LAYERS) if name in COUNTS else widest
            value = part.get(name, 0)
            # A model that is experts throughout has a width of its own for them, and reads this one nowhere.
            is_unread = name == _DENSE_WIDTH and any(one in part for one in _EXPERTS)
            if isinstance(value, int) and value > limit and not is_unread:
                _refuse_claim(folder, f"{name}={value}", f"its weights allow {limit} at most")
        claimed = _claimed(part)
        if claimed > max(_FREE_WEIGHTS, _MOST_CLAIMED * elements):
            _refuse_claim(folder, f"a model of {claimed:.2g} weights", f"its files hold {elements:.2g}")


def _claimed(config: Mapping[str, Any]) -> int:
    """Return about how many weights a config describes: embeddings, and four products and a feed-forward a layer."""

    def most(*names: str) -> int:
        found = [config.get(name) for name in names]
        return max((value for value in found if isinstance(value, int)), default=1)

    width = most("hidden_size", "d_model", "n_embd", "dim")
    layer = 4 * width * width + 2 * width * most(_DENSE_WIDTH, "d_ff") * most(*_EXPERTS)
    tables = most("vocab_size") + most(*POSITIONS) + most("type_vocab_size")
    return most(*COUNTS) * layer + tables * width


def _refuse_claim(folder: Path, claimed: str, stored: str) -> NoReturn:
    msg = (
        f"{str(folder / 'config.json')!r} describes {claimed}, and {stored}: it does not belong to these weights. "
        "Download the checkpoint again."
    )
    raise UnsupportedModelError(msg)


def _is_index(part: str) -> bool:
    return part.isascii() and part.isdigit() and len(part) < 8


def read_header(path: Path) -> dict[str, StoredTensor]:
    """Return the tensors of one safetensors file by name; none if there is no such file.

    Raises:
        UnsupportedModelError: The file is cut off, or its header is not one.
    """
    if not path.is_file():
        return {}
    try:
        with safe_open(str(path), framework="np") as stored:
            tensors = {name: stored.get_slice(name) for name in stored.keys()}  # noqa: SIM118 - it has no iterator
            return {
                name: StoredTensor(str(one.get_dtype()), tuple(one.get_shape()), path) for name, one in tensors.items()
            }
    except (OSError, SafetensorError) as error:
        msg = f"{str(path)!r} could not be read ({error}); download it again"
        raise UnsupportedModelError(msg) from error
