"""A decoder in plain torch whose states after many layers are read, and whose documents may be compressed on the way.

Reference: FlagEmbedding 1.3.5 ``LayerWiseFlagLLMReranker`` and ``LightWeightFlagLLMReranker`` on transformers 4.46.3.
Only the layers up to the deepest asked one run.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from rerank_plugins.nn.blocks import DecoderShape, Gemma2Block, MiniCPMBlock, RMSNorm, Rotary, rotary_of
from rerank_plugins.nn.compression import compress_documents
from rerank_plugins.nn.packed_row import PackedRow
from rerank_plugins.types import LayerOptions

__all__ = ["Block", "LayeredDecoder"]

Block = type[MiniCPMBlock] | type[Gemma2Block]
"""The kinds of blocks a decoder can be made of."""


class LayeredDecoder(nn.Module):
    """Embeddings, blocks and the final norm.

    Args:
        shape: Its sizes.
        block: The family's block.

    Attributes:
        recomputes: Whether a backward pass computes the blocks once more instead of keeping what is in them.
    """

    def __init__(self, shape: DecoderShape, block: Block) -> None:
        super().__init__()
        self._shape = shape
        self.recomputes = False
        self.embed_tokens = nn.Embedding(shape.vocab_size, shape.hidden_size)
        self.layers = nn.ModuleList(block(shape, index) for index in range(shape.n_layers))
        self.norm = RMSNorm(shape.hidden_size, eps=shape.eps, offset=block.norm_offset)

    def forward(self, ids: torch.Tensor, row: PackedRow, options: LayerOptions) -> torch.Tensor:
        """Return the normed state of each input's last token at each asked layer.

        Args:
            ids: Token ids of the row. Shape: (tokens,), int64.
            row: Where the texts and their documents lie.
            options: Complete options, their layers ascending.

        Returns:
            Shape: (layers, inputs, hidden), float32. Layer n is the state after n blocks.
        """
        shape = self._shape
        states = self.embed_tokens(ids)
        # The factor is rounded to the states' precision first, as in Gemma.
        states = states * torch.tensor(shape.embed_scale, dtype=states.dtype, device=states.device)
        rotary = self._rotary(row)
        softcap = shape.attention_softcap if options.attention_softcap else None
        layers, ratio = options.cutoff_layers or (), options.compress_ratio or 1
        found = []
        for index in range(layers[-1] + 1):
            if index in layers:
                found.append(self.norm(states[row.last_tokens]).float())
            if index == layers[-1]:
                break
            if ratio > 1 and index in (options.compress_layers or ()):
                states, row = compress_documents(states, row, ratio=ratio)
                rotary = self._rotary(row)
            states = self._block(index, states, rotary, row, softcap)
        return torch.stack(found)

    def _block(
        self, index: int, states: torch.Tensor, rotary: Rotary, row: PackedRow, softcap: float | None
    ) -> torch.Tensor:
        block = self.layers[index]
        if self.recomputes and torch.is_grad_enabled():
            kept: torch.Tensor = checkpoint(block, states, rotary, row, softcap, use_reentrant=False)
            return kept
        found: torch.Tensor = block(states, rotary, row, softcap)
        return found

    def _rotary(self, row: PackedRow) -> Rotary:
        positions = torch.from_numpy(row.positions).to(row.device)
        return rotary_of(positions, head_dim=self._shape.head_dim, theta=self._shape.rope_theta)
