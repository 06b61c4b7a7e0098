"""Static embeddings: the mean of token vectors from a table, without a transformer.

Reference: MinishLab/model2vec ``StaticModel.encode`` and its on-disk format (``embeddings``, optional
``weights`` and ``mapping``). Texts are cut to ``max_length`` tokens and unknown tokens are left out,
as there.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file

from rerank_plugins.checks.boundary import checkpoint_errors
from rerank_plugins.errors import UnsupportedModelError
from rerank_plugins.nn.packed_row import PackedRow
from rerank_plugins.protocols import Batch
from rerank_plugins.weights.base import LoadedParts, LoadRequest
from rerank_plugins.weights.loading import check_weights, load_tokenizer
from rerank_plugins.weights.tokenizers import check_ids

__all__ = ["StaticEmbedder", "load"]


class StaticEmbedder:
    """A table of token vectors.

    Args:
        table: One row per token id. Shape: (vocabulary, dim), float32.
        unknown_id: Token left out of the mean; None keeps all.
    """

    is_padded = False

    def __init__(self, table: torch.Tensor, *, unknown_id: int | None = None) -> None:
        self._table = table
        self._unknown_id = unknown_id

    def forward(self, batch: Batch) -> torch.Tensor:
        """Return the mean vector of each text, not normalised. Shape: (inputs, dim), float32.

        A text without a known token gets the zero vector.
        """
        row = PackedRow(batch.lengths, self._table.device)
        ids = torch.from_numpy(row.gathered([one.ids for one in batch.inputs])).to(row.device, torch.int64)
        rows = row.text_of_token
        if self._unknown_id is not None:
            known = ids != self._unknown_id
            ids, rows = ids[known], rows[known]
        sums = torch.zeros(len(batch), self._table.shape[1], device=ids.device).index_add_(0, rows, self._table[ids])
        counts = torch.bincount(rows, minlength=len(batch)).clamp(min=1).unsqueeze(1)
        return sums / counts

    def close(self) -> None:
        """Free the table."""
        self._table = torch.empty(0)


def load(request: LoadRequest) -> LoadedParts:
    """Load a static embedder from its checkpoint."""
    folder = request.files.folder
    tokenizer = load_tokenizer(request)
    check_weights(request)
    table = read_table(folder / "model.safetensors").to(request.device)
    check_ids(tokenizer, len(table), folder=folder)
    scorer = StaticEmbedder(table, unknown_id=tokenizer.unknown_id)
    return LoadedParts(tokenizer=tokenizer, scorer=scorer, special_tokens=False)


def read_table(path: Path) -> torch.Tensor:
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
        return _table(load_file(str(path)), path)


def _table(tensors: dict[str, torch.Tensor], path: Path) -> torch.Tensor:
    if "embeddings" not in tensors:
        msg = f"{str(path)!r} holds {sorted(tensors)}, expected a tensor named 'embeddings'"
        raise UnsupportedModelError(msg)
    table = tensors["embeddings"].float()
    if table.dim() != 2 or not table.numel():
        msg = f"{str(path)!r} has embeddings of shape {tuple(table.shape)}, expected (vocabulary, dimensions)"
        raise UnsupportedModelError(msg)
    if "embeddings.scale" in tensors:
        table = table * tensors["embeddings.scale"].float().unsqueeze(1)
    if "mapping" in tensors:
        table = table[tensors["mapping"].long()]
    if "weights" in tensors:
        table = table * tensors["weights"].float().unsqueeze(1)
    return table
