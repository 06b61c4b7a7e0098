"""Embedders: an encoder or a decoder, then pooling and the modules after it, in float32.

Normalising to length 1 belongs to the facade, so that one loaded model serves both settings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import transformers

from rerank_plugins.errors import UnsafeModelError
from rerank_plugins.nn.backbone import Backbone
from rerank_plugins.nn.heads import by_input
from rerank_plugins.nn.pooling import SentenceHead
from rerank_plugins.protocols import Batch, PrefixSharing, TokenInput
from rerank_plugins.scorers.chunk_rows import ChunkRow
from rerank_plugins.scorers.chunk_vectors import chunk_rows
from rerank_plugins.scorers.int8 import int8_texts
from rerank_plugins.scorers.sentence_head import load_head
from rerank_plugins.text.tokenizer import TextTokenizer
from rerank_plugins.weights.base import LoadedParts, LoadRequest
from rerank_plugins.weights.loading import load_model
from rerank_plugins.weights.tokenizers import load_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = ["TransformerEmbedder", "load", "load_backbone", "load_transformer"]

_T5_TYPES = ("t5", "mt5", "umt5")
_STAND_IN = TokenInput(np.zeros(1, dtype=np.int32), np.zeros(1, dtype=np.int32))
"""Runs in the place of an input without tokens, which no transformer takes."""


class TransformerEmbedder:
    """A transformer with a head.

    Args:
        backbone: The transformer.
        head: How token states become one vector.
    """

    def __init__(self, backbone: Backbone, head: SentenceHead) -> None:
        self._backbone: Backbone | None = backbone
        self._head: SentenceHead | None = head
        self.is_padded, self.padding_reason = backbone.is_padded, backbone.padding_reason
        self.runs_int8 = backbone.runs_int8
        self.prefix_sharing = (
            backbone.prefix_sharing
            if head.reads_last
            else PrefixSharing(is_used=False, reason="not only last tokens are read")
        )

    @property
    def is_thread_safe(self) -> bool:
        """Whether several threads may call :meth:`forward` at once."""
        return self._backbone.is_thread_safe  # type: ignore[union-attr]

    def forward(self, batch: Batch) -> torch.Tensor:
        """Return one vector per text, or as ``batch.options`` lays it out; not normalised.

        Returns:
            Shape: (inputs, dim), float32; (inputs, slots * dim) for a :class:`ChunkRow`. Zeros for an input without any
            token, which an empty text is to a tokenizer that puts none around it.
        """
        empty = [place for place, one in enumerate(batch.inputs) if len(one) == 0]
        if not empty:
            return self._rows(batch)
        inputs = [one if len(one) else _STAND_IN for one in batch.inputs]
        rows = self._rows(Batch(inputs, batch.options, batch.shares_prefixes))
        return rows.index_fill(0, torch.tensor(empty, device=rows.device), 0.0)

    def _rows(self, batch: Batch) -> torch.Tensor:
        head: SentenceHead = self._head  # type: ignore[assignment]
        if isinstance(batch.options, ChunkRow):
            return chunk_rows(head, self._backbone(batch), batch, batch.options)  # type: ignore[misc]
        states = self._backbone(batch, reads=head.reads(batch))  # type: ignore[misc]
        return by_input(head, states, batch, apart=self.runs_int8)

    def compile(self) -> str:
        """Compile the backbone, see :meth:`Backbone.compile`."""
        return self._backbone.compile()  # type: ignore[union-attr]

    def close(self) -> None:
        """Free the weights."""
        self._backbone = None
        self._head = None


def load(request: LoadRequest) -> LoadedParts:
    """Load an embedder from its checkpoint."""
    backbone, tokenizer = load_backbone(request)
    scorer = TransformerEmbedder(backbone, load_head(request))
    return LoadedParts(tokenizer=tokenizer, scorer=scorer, runs_int8=scorer.runs_int8)


def load_backbone(request: LoadRequest) -> tuple[Backbone, TextTokenizer]:
    """Load the transformer of an embedder and its tokenizer: the encoder alone where the model has a decoder too (T5).

    Raises:
        UnsafeModelError: It is a decoder that looks both ways, which only the checkpoint's own code does.
        ModelError: See :func:`~rerank_plugins.weights.loading.load_model`.
    """
    model = load_transformer(request)
    # Otherwise a decoder would keep the KV cache of every layer for tokens that are never generated.
    model.config.use_cache = False
    tokenizer = load_tokenizer(request)
    return Backbone(model, int8_texts=int8_texts(request, tokenizer)), tokenizer


def load_transformer(request: LoadRequest) -> PreTrainedModel:
    """Load it as transformers' own module; raises as :func:`load_backbone`."""
    _check_direction(request)
    is_t5 = request.files.config.get("model_type") in _T5_TYPES
    auto_class: Any = transformers.AutoModelForTextEncoding if is_t5 else transformers.AutoModel
    # Some versions of transformers 4 fuse attention that must be soft-capped (Gemma 2), and leave the cap out.
    capped = request.files.config.get("attn_logit_softcapping") is not None
    return load_model(request, auto_class, attention="eager" if capped else None)


def _check_direction(request: LoadRequest) -> None:
    """Raise for a decoder that transformers would run causally although it was trained otherwise (gte-Qwen2)."""
    files = request.files
    is_decoder = files.architecture.endswith("ForCausalLM")
    has_own_code = files.config.get("is_causal") is False or (is_decoder and files.needs_remote_code)
    if has_own_code and not request.trust_remote_code:
        msg = (
            f"{str(files.folder)!r} is a {files.config.get('model_type')!r} with code of its own, which may let tokens "
            "see those behind them; transformers' own code would give other vectors without a word. Pass "
            "trust_remote_code=True if you trust its source, or choose another model."
        )
        raise UnsafeModelError(msg)
