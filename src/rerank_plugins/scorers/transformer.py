"""Embedders: an encoder or a decoder, then CLS, mean or last-token pooling, in float32.

References: sentence-transformers' Pooling and Dense modules; FlagEmbedding ``BaseEmbedder.pooling``; INSTRUCTOR's
mean over the text without its instruction (``InstructorEmbedding/instructor.py``).
Normalising to length 1 belongs to the facade, so that one loaded model serves both settings.
"""

from __future__ import annotations

import json
from typing import Any

import torch
import transformers

from rerank_plugins.catalog.spec import Pooling
from rerank_plugins.errors import UnsafeModelError, UnsupportedModelError
from rerank_plugins.protocols import Batch, PrefixSharing
from rerank_plugins.scorers.backbone import Backbone, TokenStates
from rerank_plugins.scorers.base import LoadedParts, LoadRequest
from rerank_plugins.scorers.bert_encoder import Reads
from rerank_plugins.scorers.loading import load_encoder, load_model
from rerank_plugins.scorers.side_files import read_side_file

__all__ = ["TransformerEmbedder", "load", "load_backbone", "pool", "pool_batch"]

_ACTIVATIONS = {
    "torch.nn.modules.linear.Identity": torch.nn.Identity,
    "torch.nn.modules.activation.Tanh": torch.nn.Tanh,
}
_T5_TYPES = ("t5", "mt5", "umt5")

_READS: dict[Pooling, Reads] = {"cls": "first", "mean": "all", "last_token": "last"}


class TransformerEmbedder:
    """A transformer with pooling.

    Args:
        backbone: The transformer.
        pooling: How token states become one vector.
        dense: Layer after pooling (sentence-transformers' Dense), or None.
    """

    def __init__(self, backbone: Backbone, *, pooling: Pooling, dense: torch.nn.Module | None = None) -> None:
        self._backbone: Backbone | None = backbone
        self._pooling = pooling
        self._dense = dense
        self.is_padded, self.padding_reason = backbone.is_padded, backbone.padding_reason
        reads_last = pooling == "last_token"
        self.prefix_sharing = (
            backbone.prefix_sharing
            if reads_last
            else PrefixSharing(is_used=False, reason="not only last tokens are read")
        )

    def forward(self, batch: Batch) -> torch.Tensor:
        """Return one vector per text, not normalised. Shape: (inputs, dim), float32."""
        states = self._backbone(batch, reads=_READS[self._pooling])  # type: ignore[misc]
        vectors = pool_batch(states, batch, self._pooling)
        return vectors if self._dense is None else self._dense(vectors)

    def compile(self) -> str:
        """Compile the backbone, see :meth:`Backbone.compile`."""
        return self._backbone.compile()  # type: ignore[union-attr]

    def close(self) -> None:
        """Free the weights."""
        self._backbone = None
        self._dense = None


def pool(states: TokenStates, pooling: Pooling) -> torch.Tensor:
    """Return one vector per input: its first token's, the mean of all its tokens', or its last one's.

    Returns:
        Shape: (inputs, hidden), float32.
    """
    if pooling == "cls":
        return states.first()
    return states.last() if pooling == "last_token" else states.mean()


def pool_batch(states: TokenStates, batch: Batch, pooling: Pooling) -> torch.Tensor:
    """Return what :func:`pool` returns; a mean leaves out what lies in front of a text whose place an input tells.

    Returns:
        Shape: (inputs, hidden), float32; zeros for an input without a token to pool.
    """
    starts = [0 if one.segments is None else one.segments.document_start for one in batch.inputs]
    if pooling != "mean" or not any(starts):
        return pool(states, pooling)
    device = states.flat.device
    lengths = torch.tensor(states.lengths, device=device)
    rows = torch.repeat_interleave(torch.arange(len(lengths), device=device), lengths)
    positions = torch.arange(len(rows), device=device) - (lengths.cumsum(0) - lengths)[rows]
    pooled = positions >= torch.tensor(starts, device=device)[rows]
    sums = torch.zeros(len(lengths), states.flat.shape[1], device=device)
    sums.index_add_(0, rows[pooled], states.flat[pooled])
    return sums / torch.bincount(rows[pooled], minlength=len(lengths)).clamp(min=1).unsqueeze(1)


def load(request: LoadRequest) -> LoadedParts:
    """Load an embedder from its checkpoint."""
    backbone = load_backbone(request)
    dense = None
    if "Dense" in request.files.modules:
        dense = _load_dense(request).to(request.device)
    scorer = TransformerEmbedder(backbone, pooling=request.spec.pooling, dense=dense)
    return LoadedParts(encoder=load_encoder(request), scorer=scorer)


def load_backbone(request: LoadRequest) -> Backbone:
    """Load the transformer of an embedder: the encoder alone where the model has a decoder too (T5).

    Raises:
        UnsafeModelError: It is a decoder that looks both ways, which only the checkpoint's own code does.
        ModelError: See :func:`~rerank_plugins.scorers.loading.load_model`.
    """
    _check_direction(request)
    is_t5 = request.files.config.get("model_type") in _T5_TYPES
    auto_class: Any = transformers.AutoModelForTextEncoding if is_t5 else transformers.AutoModel
    # Some versions of transformers 4 fuse attention that must be soft-capped (Gemma 2), and leave the cap out.
    capped = request.files.config.get("attn_logit_softcapping") is not None
    model = load_model(request, auto_class, attention="eager" if capped else None)
    # A decoder would keep keys and values of every layer for tokens that never come.
    model.config.use_cache = False
    return Backbone(model)


def _check_direction(request: LoadRequest) -> None:
    """Refuse a decoder that transformers would run causally although it was trained otherwise (gte-Qwen2)."""
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


def _load_dense(request: LoadRequest) -> torch.nn.Module:
    folder = request.files.folder / request.files.modules["Dense"]
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    activation = _ACTIVATIONS.get(config.get("activation_function", "torch.nn.modules.activation.Tanh"))
    if activation is None:
        msg = f"{str(folder)!r}: the Dense module needs one of the activations {sorted(_ACTIVATIONS)}"
        raise UnsupportedModelError(msg)
    weights = read_side_file(
        folder / "model.safetensors", folder / "pytorch_model.bin", allow_pickle=request.allow_pickle
    )
    linear = torch.nn.Linear(config["in_features"], config["out_features"], bias=config.get("bias", True))
    linear.load_state_dict({key.removeprefix("linear."): value for key, value in weights.items()})
    return torch.nn.Sequential(linear.float(), activation()).eval()
