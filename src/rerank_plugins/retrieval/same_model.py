"""Whether an embedder is the one that the vectors of a saved retriever were made with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rerank_plugins.embedder import Embedder
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.retrieval.parts import embedder_identity

__all__ = ["check_identity", "check_same_vector", "check_weights"]

_SAME_MODEL = 0.99  # Cosine of a text's vector with the saved one: half precision stays above, other models far below.

_Vectors = npt.NDArray[np.float32]


def check_identity(folder: Path, made_with: Mapping[str, Any], embedder: Embedder) -> None:
    """Raise InvalidInputError if an embedder is used otherwise than the one that a folder's vectors were made with."""
    used = embedder_identity(embedder)
    for name, value in made_with.items():
        if name != "weights" and used.get(name) != value:
            msg = (
                f"{folder}: its vectors were made with {name}={value!r}, and the embedder has "
                f"{name}={used.get(name)!r}; pass the embedder that they were made with, or index the texts again"
            )
            raise InvalidInputError(msg)


def check_weights(folder: Path, made_with: Mapping[str, Any], embedder: Embedder) -> None:
    """Raise InvalidInputError if an embedder's files are others, though one text's vector does not show it."""
    then, now = made_with.get("weights"), embedder_identity(embedder)["weights"]
    if None not in (then, now) and then != now:
        msg = (
            f"{folder}: its vectors were made with other files of weights or tokenizer than the embedder has; its "
            "weights are others. Pass the embedder that they were made with, or index the texts again"
        )
        raise InvalidInputError(msg)


def check_same_vector(folder: Path, found: _Vectors, known: _Vectors) -> None:
    """Raise InvalidInputError if an embedder gives a text another vector than the one that a folder has of it."""
    lengths = float(np.linalg.norm(found) * np.linalg.norm(known))
    cosine = float(found @ known) / lengths if lengths and found.shape == known.shape else 0.0
    if cosine < _SAME_MODEL:
        msg = (
            f"{folder}: the embedder gives its first text another vector (cosine {cosine:.3f}) than the one "
            "saved; its weights are others. Pass the embedder that they were made with, or index the texts again"
        )
        raise InvalidInputError(msg)
