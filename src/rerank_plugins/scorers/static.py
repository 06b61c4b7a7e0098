"""Static embeddings: the mean of token vectors from a table, without a transformer.

Reference: MinishLab/model2vec ``StaticModel.encode`` and its on-disk format (``embeddings``, optional
``weights`` and ``mapping``). Texts are cut to ``max_length`` tokens and unknown tokens are left out,
as there.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from rerank_plugins.checks.boundary import checkpoint_errors
from rerank_plugins.errors import UnsupportedModelError
from rerank_plugins.protocols import Batch
from rerank_plugins.weights.arrays import Arrays, read_file
from rerank_plugins.weights.base import CheckpointRequest, LoadedParts
from rerank_plugins.weights.checks import check_weights
from rerank_plugins.weights.tokenizers import check_ids, load_tokenizer

__all__ = ["StaticEmbedder", "load"]

_Table = npt.NDArray[np.float32]


class StaticEmbedder:
    """A table of token vectors.

    Args:
        table: One row per token id. Shape: (vocabulary, dim), float32.
        unknown_id: Token left out of the mean; None keeps all.
    """

    is_padded = False

    def __init__(self, table: _Table, *, unknown_id: int | None = None) -> None:
        self._table = table
        self._unknown_id = unknown_id

    def forward(self, batch: Batch) -> _Table:
        """Return the mean vector of each text, not normalised. Shape: (inputs, dim), float32.

        A text without a known token gets the zero vector.
        """
        rows = np.zeros((len(batch), self._table.shape[1]), dtype=np.float32)
        for row, one in zip(rows, batch.inputs, strict=True):
            ids = one.ids if self._unknown_id is None else one.ids[one.ids != self._unknown_id]
            if len(ids):
                row[:] = self._table[ids].mean(axis=0)
        return rows

    def close(self) -> None:
        """Free the table."""
        self._table = np.zeros((0, 0), dtype=np.float32)


def load(request: CheckpointRequest) -> LoadedParts:
    """Load a static embedder from its checkpoint."""
    folder = request.files.folder
    tokenizer = load_tokenizer(request)
    check_weights(request)
    table = read_table(folder / "model.safetensors")
    check_ids(tokenizer, len(table), folder=folder)
    scorer = StaticEmbedder(table, unknown_id=tokenizer.unknown_id)
    return LoadedParts(tokenizer=tokenizer, scorer=scorer, special_tokens=False)


def read_table(path: Path) -> _Table:
    """Return the token vectors of a model2vec file with weights and mapping applied.

    Returns:
        Shape: (vocabulary, dim), float32.

    Raises:
        UnsupportedModelError: The file is missing or holds no embeddings.
    """
    if not path.is_file():
        msg = f"{str(path)!r} is missing; download the checkpoint again"
        raise UnsupportedModelError(msg)
    with checkpoint_errors(f"read {str(path)!r}"):
        return _table(read_file(path), path)


def _table(tensors: Arrays, path: Path) -> _Table:
    if "embeddings" not in tensors:
        msg = f"{str(path)!r} holds {sorted(tensors)}, expected a tensor named 'embeddings'"
        raise UnsupportedModelError(msg)
    table = tensors["embeddings"].astype(np.float32, copy=False)
    if table.ndim != 2 or not table.size:
        msg = f"{str(path)!r} has embeddings of shape {table.shape}, expected (vocabulary, dimensions)"
        raise UnsupportedModelError(msg)
    if "embeddings.scale" in tensors:
        table = table * tensors["embeddings.scale"][:, np.newaxis]
    if "mapping" in tensors:
        table = table[tensors["mapping"]]
    if "weights" in tensors:
        table = table * tensors["weights"][:, np.newaxis]
    return table
