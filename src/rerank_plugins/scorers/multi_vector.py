"""BGE-M3: one forward pass, three kinds of vectors.

Reference: FlagEmbedding 1.3.5 ``M3Embedder`` (``inference/embedder/encoder_only/m3.py`` and
``finetune/embedder/encoder_only/m3/modeling.py``): a text's vector is its first token's state; the weight of a token
is ``relu(sparse_linear(state))``; the vector of a token is ``colbert_linear(state)``. Both heads run in float32.
"""

from __future__ import annotations

import torch

from rerank_plugins.catalog.checkpoint import MULTI_VECTOR_HEADS
from rerank_plugins.errors import ModelError
from rerank_plugins.nn.backbone import Backbone, TokenStates
from rerank_plugins.nn.packed_row import PackedRow
from rerank_plugins.nn.pooling import SentenceHead
from rerank_plugins.protocols import Batch
from rerank_plugins.scorers.chunk_rows import ChunkRow
from rerank_plugins.scorers.chunk_vectors import chunk_rows
from rerank_plugins.scorers.sentence_head import load_head
from rerank_plugins.scorers.transformer import load_backbone
from rerank_plugins.scorers.vector_rows import MultiVectorRow
from rerank_plugins.weights.base import LoadedParts, LoadRequest
from rerank_plugins.weights.side_files import read_side_file

__all__ = ["MultiVectorEmbedder", "in_slots", "load"]

_Heads = tuple[torch.nn.Module, torch.nn.Module]


class MultiVectorEmbedder:
    """An encoder with pooling and two heads on every token.

    Args:
        backbone: The encoder.
        head: How token states become the vector of a text.
        heads: The layers for weights and for token vectors; or why they could not be had, which is raised when
            they are needed, since the vectors of texts need neither.
    """

    def __init__(self, backbone: Backbone, *, head: SentenceHead, heads: _Heads | ModelError) -> None:
        self._backbone: Backbone | None = backbone
        self._head: SentenceHead | None = head
        self._heads: _Heads | ModelError | None = heads
        self.is_padded, self.padding_reason = backbone.is_padded, backbone.padding_reason

    @property
    def is_thread_safe(self) -> bool:
        """Whether several threads may call :meth:`forward` at once."""
        return self._backbone.is_thread_safe  # type: ignore[union-attr]

    def forward(self, batch: Batch) -> torch.Tensor:
        """Return one row per text as ``batch.options`` lays it out, nothing normalised; None means the vector alone.

        Returns:
            Shape: (inputs, width), float32.

        Raises:
            ModelError: A requested head could not be loaded.
        """
        states: TokenStates = self._backbone(batch)  # type: ignore[misc]
        layout = batch.options
        if isinstance(layout, ChunkRow):
            return chunk_rows(self._head, states, batch, layout)  # type: ignore[arg-type]
        parts = [self._head(states, batch)]  # type: ignore[misc]
        if isinstance(layout, MultiVectorRow):
            if isinstance(self._heads, ModelError):
                raise self._heads
            sparse, colbert = self._heads  # type: ignore[misc]
            if layout.sparse:
                parts.append(in_slots(torch.relu(sparse(states.flat)), states.row, layout.slots))
            if layout.colbert:
                parts.append(in_slots(colbert(states.flat), states.row, layout.slots))
        return torch.cat(parts, dim=1)

    def close(self) -> None:
        """Free the weights."""
        self._backbone = None
        self._head = None
        self._heads = None


def load(request: LoadRequest) -> LoadedParts:
    """Load the model. Heads that are missing, or may not be read, raise an error only when they are requested."""
    heads: _Heads | ModelError
    try:
        heads = (_head(request, MULTI_VECTOR_HEADS[0]), _head(request, MULTI_VECTOR_HEADS[1]))
    except ModelError as error:
        heads = error
    backbone, tokenizer = load_backbone(request)
    scorer = MultiVectorEmbedder(backbone, head=load_head(request), heads=heads)
    return LoadedParts(tokenizer=tokenizer, scorer=scorer)


def _head(request: LoadRequest, name: str) -> torch.nn.Module:
    folder = request.files.folder
    safe, pickled = folder / f"{name}.safetensors", folder / f"{name}.pt"
    weights = read_side_file(safe, pickled, allow_pickle=request.allow_pickle)
    n_out, n_in = weights["weight"].shape
    linear = torch.nn.Linear(n_in, n_out, bias="bias" in weights)
    linear.load_state_dict(weights)
    return linear.eval().to(request.device)


def in_slots(values: torch.Tensor, row: PackedRow, slots: int) -> torch.Tensor:
    """Return the values of each input's tokens in one row, zeros behind them. Shape: (inputs, slots * width)."""
    placed = values.new_zeros(len(row.lengths), slots, values.shape[1])
    placed[row.text_of_token, torch.from_numpy(row.positions).to(values.device)] = values
    return placed.flatten(1)
