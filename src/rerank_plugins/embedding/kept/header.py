"""What a store of token vectors says of itself: the model, the settings, and a sample that tells it from others."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from rerank_plugins.errors import VectorStoreError
from rerank_plugins.system.files import reason_of

__all__ = [
    "HEADER",
    "PATTERN",
    "Precision",
    "StoreIdentity",
    "check_header",
    "header_of",
    "is_same_store",
    "read_header",
]

_Rows = npt.NDArray[np.float32]
Precision = Literal["float16", "int8"]
HEADER, PATTERN = "store.json", "vectors-*.safetensors"
"""The file with the header, and the files with vectors."""

_FORMAT = "rerank-plugins/token-vector-store/1"
_SAMPLE_DIFFERENCE = 0.03
"""Length of the difference of two samples, of that of one: half precision stays below a hundredth, a training above."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreIdentity:
    """What makes the vectors of a store.

    Attributes:
        model: Its name, for people; the same weights may lie elsewhere.
        settings: How documents are read, as plain values.
        sample: The vectors of a fixed text. Shape: (tokens, dim).
        weights: Digest of the files of weights and tokenizer: a sample does not show what its words have no part in.
            None in stores from before it was noted.
    """

    model: str
    settings: Mapping[str, Any]
    sample: _Rows
    weights: str | None = None


def check_header(header: Mapping[str, Any], identity: StoreIdentity, *, folder: Path) -> None:
    """Check that vectors of a model can be compared with those of a store.

    Raises:
        VectorStoreError: They come from another model, or documents were read in another way.
    """
    settings = json.loads(json.dumps(dict(identity.settings)))
    differing = {
        name: (header["settings"].get(name), settings.get(name))
        for name in sorted({*header["settings"], *settings})
        if header["settings"].get(name) != settings.get(name)
    }
    was, now = header.get("weights"), identity.weights
    is_other = was is not None and now is not None and was != now
    if not differing and is_other:
        differing = {"weights": (_weights(header["model"], was), _weights(identity.model, now))}
    elif not differing and not _is_same(_sample(header), identity.sample):
        differing = {"the vectors of a sample text": _told_apart(_sample(header), identity.sample)}
    if differing:
        why = "; ".join(f"{name} was {str(was)[:80]} and is {str(now)[:80]}" for name, (was, now) in differing.items())
        msg = (
            f"the vectors in {str(folder)!r} are those of {header['model']!r} as it was used then, and this "
            f"is {identity.model!r}: {why}. Open the model in the same way, or keep its vectors in another folder"
        )
        raise VectorStoreError(msg)


def read_header(path: Path) -> dict[str, Any] | None:
    """Return what a store says of itself; None while there is nothing.

    Raises:
        VectorStoreError: It cannot be read, is damaged, or is missing beside vectors.
    """
    if not path.is_file():
        others = sorted(path.parent.glob(PATTERN)) if path.parent.is_dir() else []
        if others:
            msg = (
                f"{str(path.parent)!r} has vectors and no {HEADER}, which says whose they are; put that file back, or "
                "begin with an empty folder"
            )
            raise VectorStoreError(msg)
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        msg = f"{str(path)!r} cannot be read ({reason_of(error)}); put the file back, or begin with an empty folder"
        raise VectorStoreError(msg) from error
    needed = {"format", "model", "precision", "settings", "sample"}
    if not isinstance(found, dict) or found.get("format") != _FORMAT or needed - found.keys():
        msg = f"{str(path)!r} is no store of token vectors of this version; begin with an empty folder"
        raise VectorStoreError(msg)
    if not _is_whole(found):
        msg = f"{str(path)!r} is damaged; put the file back, or begin with an empty folder"
        raise VectorStoreError(msg)
    return found


def header_of(identity: StoreIdentity, precision: Precision) -> bytes:
    """Return the header of a new store."""
    header = {
        "format": _FORMAT,
        "model": identity.model,
        "precision": precision,
        "settings": dict(identity.settings),
        "sample": [[round(float(number), 6) for number in row] for row in identity.sample],
        "weights": identity.weights,
    }
    return json.dumps(header, ensure_ascii=False).encode()


def is_same_store(header: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Return whether two headers are of the same model, used in the same way."""
    if any(header.get(name) != other.get(name) for name in ("precision", "settings", "weights")):
        return False
    return _is_same(_sample(header), _sample(other))


def _is_whole(header: Mapping[str, Any]) -> bool:
    """Return whether what is read of a header later has the types that were written."""
    is_typed = isinstance(header["model"], str) and isinstance(header["settings"], dict)
    if not is_typed or not isinstance(header.get("weights"), (str, type(None))):
        return False
    try:
        return header["precision"] in get_args(Precision) and _sample(header).ndim == 2
    except (ValueError, TypeError, OverflowError):
        return False


def _weights(model: str, key: str | None) -> str:
    """Return weights as people know them; their digest tells a folder from what was in it before."""
    return f"{(key or '?')[:8]} of {model}"


def _sample(header: Mapping[str, Any]) -> _Rows:
    return np.array(header["sample"], dtype=np.float32)


def _told_apart(kept: _Rows, made: _Rows) -> tuple[str, str]:
    if kept.shape != made.shape:
        return f"{kept.shape[0]} of {kept.shape[1]} numbers", f"{made.shape[0]} of {made.shape[1]}"
    apart = float(np.linalg.norm(kept - made, axis=1).max())
    return "of other numbers", f"up to {apart:.2g} away"


def _is_same(kept: _Rows, made: _Rows) -> bool:
    if kept.shape != made.shape:
        return False
    lengths = np.maximum(np.linalg.norm(kept, axis=1), 1e-6)
    return bool((np.linalg.norm(kept - made, axis=1) <= _SAMPLE_DIFFERENCE * lengths).all())
