"""LLM rerankers with a head on many layers: bge-reranker-v2-minicpm-layerwise and -v2.5-gemma2-lightweight.

The published models need Python code from the hub, which does not run on transformers 5. Here they are plain torch.
Reference: FlagEmbedding 1.3.5 ``LayerWiseFlagLLMReranker`` and ``LightWeightFlagLLMReranker`` on transformers 4.46.3.
Only the layers up to the deepest requested one run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from rerank_plugins.catalog.layers import LayerRange, layers_of_config
from rerank_plugins.errors import UnsupportedModelError
from rerank_plugins.nn.blocks import ACTIVATIONS, DecoderShape, Gemma2Block, MiniCPMBlock
from rerank_plugins.nn.layered_decoder import Block, LayeredDecoder
from rerank_plugins.nn.packed_row import PackedRow
from rerank_plugins.nn.prefixes import prefix_groups
from rerank_plugins.protocols import Batch, PrefixSharing
from rerank_plugins.types import LayerOptions
from rerank_plugins.weights.base import LoadedParts, LoadRequest
from rerank_plugins.weights.checks import check_weights, refuse_missing
from rerank_plugins.weights.lora import merge_lora
from rerank_plugins.weights.tokenizers import load_tokenizer
from rerank_plugins.weights.weight_files import WeightFiles

__all__ = ["LayeredParts", "LayeredScorer", "load_gemma2", "load_minicpm", "read_gemma2", "read_minicpm"]

_PREFIX = "model."


class LayeredScorer:
    """A decoder with a linear head on each of its upper layers.

    Args:
        decoder: The decoder, on its device.
        heads: One row for each layer from ``first_layer`` on. Shape: (heads, hidden), float32, on the same device.
        first_layer: The layer of the first head.
        compresses: Whether this is the lightweight model, whose calls choose by what rule layers get heads; in the
            other one each layer always has its own.
        final_softcap: Bound of scores; None for none.
    """

    is_padded = False
    prefix_sharing = PrefixSharing(is_used=True)

    def __init__(
        self,
        decoder: LayeredDecoder,
        heads: torch.Tensor,
        *,
        first_layer: int,
        compresses: bool,
        final_softcap: float | None = None,
    ) -> None:
        self._decoder: LayeredDecoder | None = decoder
        self._heads = heads
        self._first_layer = first_layer
        self._compresses = compresses
        self._final_softcap = final_softcap

    def forward(self, batch: Batch) -> torch.Tensor:
        """Return one column per requested layer, the lowest first. Shape: (inputs, layers), float32.

        ``batch.options`` is a complete :class:`~rerank_plugins.types.LayerOptions` with ascending layers.
        """
        options = batch.options
        if self._decoder is None or not isinstance(options, LayerOptions) or not options.cutoff_layers:
            msg = f"a model with many heads needs complete LayerOptions, got {options!r}"
            raise TypeError(msg)
        # Soft-capped logits have no kernel with shared prefixes.
        shares = batch.shares_prefixes and not options.attention_softcap
        row = _row(batch, self._heads.device, shares_prefixes=shares)
        ids = torch.from_numpy(row.gathered([one.ids for one in batch.inputs])).to(row.device, torch.int64)
        states = self._decoder(ids, row, options)
        layers = options.cutoff_layers
        by_layer = options.head_by_layer or not self._compresses
        rows = [layer - self._first_layer if by_layer else place for place, layer in enumerate(layers)]
        scores = torch.einsum("lnh,lh->nl", states, self._heads[rows])
        if self._final_softcap is None:
            return scores
        return self._final_softcap * torch.tanh(scores / self._final_softcap)

    def close(self) -> None:
        """Free the weights."""
        self._decoder = None
        self._heads = self._heads[:0].clone()


def load_minicpm(request: LoadRequest) -> LoadedParts:
    """Load bge-reranker-v2-minicpm-layerwise, or a model trained from it, without the checkpoint's own code."""
    return _load(request, read_minicpm(request))


def load_gemma2(request: LoadRequest) -> LoadedParts:
    """Load bge-reranker-v2.5-gemma2-lightweight, or a model trained from it, without the checkpoint's own code."""
    return _load(request, read_gemma2(request))


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class LayeredParts:
    """A decoder and its heads, as they are stored.

    Attributes:
        decoder: The decoder, on its device, in its precision.
        heads: Name in the checkpoint to a head's row, the lowest layer first; one of all layers if they share it.
            Shape of each: (1, hidden), float32.
        layers: The layers that give scores.
        final_softcap: Bound of scores; None for none.
    """

    decoder: LayeredDecoder
    heads: Mapping[str, torch.Tensor]
    layers: LayerRange
    final_softcap: float | None


def read_minicpm(request: LoadRequest, *, new_head: int | None = None) -> LayeredParts:
    """Read a MiniCPM with heads.

    Args:
        request: What to read.
        new_head: Where the checkpoint has no heads: the token whose row of the output matrix every head begins as.

    Raises:
        UnsupportedModelError: Its config or its weights are not those of such a model.
    """
    config = request.files.config
    n_layers = int(config["num_hidden_layers"])
    shape = _shape(
        config,
        activation=str(config.get("hidden_act", "silu")),
        head_dim=int(config["hidden_size"]) // int(config["num_attention_heads"]),
        scales=(float(config.get("scale_emb", 1)), float(config.get("scale_depth", 1)) / n_layers**0.5),
    )
    return _read(request, shape, MiniCPMBlock, compresses=False, new_head=new_head)


def read_gemma2(request: LoadRequest) -> LayeredParts:
    """Read a Gemma 2 with heads.

    Raises:
        UnsupportedModelError: Its config or its weights are not those of such a model.
    """
    config = request.files.config
    shape = _shape(
        config,
        activation=str(config.get("hidden_activation") or config.get("hidden_act")),
        head_dim=int(config["head_dim"]),
        scales=(float(config["hidden_size"]) ** 0.5, 1.0),
    )
    return _read(request, shape, Gemma2Block, compresses=True)


def _shape(config: Mapping[str, Any], *, activation: str, head_dim: int, scales: tuple[float, float]) -> DecoderShape:
    # transformers 5 writes rope_theta and the scaling together, and calls none "default".
    rope = config.get("rope_parameters") or {}
    scaling = config.get("rope_scaling") or (rope if rope.get("rope_type", "default") != "default" else None)
    if scaling or config.get("attention_bias") or activation not in ACTIVATIONS:
        msg = (
            "this model is run without rope_scaling and attention_bias, and with an activation among "
            f"{', '.join(ACTIVATIONS)}; its config.json says {scaling}, "
            f"{config.get('attention_bias')} and {activation!r}"
        )
        raise UnsupportedModelError(msg)
    n_heads = int(config["num_attention_heads"])
    return DecoderShape(
        vocab_size=int(config["vocab_size"]),
        hidden_size=int(config["hidden_size"]),
        intermediate_size=int(config["intermediate_size"]),
        n_layers=int(config["num_hidden_layers"]),
        n_heads=n_heads,
        n_kv_heads=int(config.get("num_key_value_heads") or n_heads),
        head_dim=head_dim,
        eps=float(config["rms_norm_eps"]),
        rope_theta=float(rope.get("rope_theta", config.get("rope_theta", 10_000.0))),
        activation=activation,
        embed_scale=scales[0],
        residual_scale=scales[1],
        attention_scale=float(config.get("query_pre_attn_scalar", head_dim)) ** -0.5,
        attention_softcap=config.get("attn_logit_softcapping"),
        final_softcap=config.get("final_logit_softcapping"),
        window=config.get("sliding_window") or None,
    )


def _read(
    request: LoadRequest, shape: DecoderShape, block: Block, *, compresses: bool, new_head: int | None = None
) -> LayeredParts:
    check_weights(request)
    layers = layers_of_config(request.files.config, compresses=compresses)
    files = WeightFiles(request.files.folder)
    with torch.device("meta"):
        decoder = LayeredDecoder(shape, block)
    names = [_PREFIX + name for name in decoder.state_dict()]
    head_names = _head_names(request.files.config, layers)
    stored = head_names if new_head is None else [_output_of(files)]
    refuse_missing([name for name in (*names, *stored) if name not in files], request.files.folder)
    weights = files.read(names, device=request.device, dtype=request.dtype)
    try:
        decoder.load_state_dict({name.removeprefix(_PREFIX): value for name, value in weights.items()}, assign=True)
    except RuntimeError as error:
        msg = f"the weights of {str(request.files.folder)!r} do not fit its config.json: {error}"
        raise UnsupportedModelError(msg) from error
    if new_head is None:
        heads = files.read(head_names, device=request.device, dtype=torch.float32)
    else:
        row = files.row(stored[0], new_head).to(request.device, torch.float32).unsqueeze(0)
        heads = {name: row.clone() for name in head_names}
    return LayeredParts(
        decoder=decoder.eval(),
        heads={name: heads[name] for name in head_names},
        layers=layers,
        final_softcap=shape.final_softcap,
    )


def _head_names(config: Mapping[str, Any], layers: LayerRange) -> list[str]:
    """Return the names of the heads, the lowest layer's first; of one head, if all layers share it."""
    if not layers.compresses and not config["head_multi"]:
        return ["lm_head.linear_head.weight"]
    return [f"lm_head.{index}.linear_head.weight" for index in range(layers.last - layers.first + 1)]


def _output_of(files: WeightFiles) -> str:
    """Return the name of the output matrix, which may be that of the word embeddings."""
    own = "lm_head.weight"
    return own if own in files else f"{_PREFIX}embed_tokens.weight"


def _load(request: LoadRequest, parts: LayeredParts) -> LoadedParts:
    if request.lora is not None:
        merge_lora({**dict(parts.decoder.named_parameters()), **parts.heads}, request.lora)
    scorer = LayeredScorer(
        parts.decoder,
        torch.cat(list(parts.heads.values())).expand(parts.layers.last - parts.layers.first + 1, -1),
        first_layer=parts.layers.first,
        compresses=parts.layers.compresses,
        final_softcap=parts.final_softcap,
    )
    return LoadedParts(tokenizer=load_tokenizer(request), scorer=scorer)


def _row(batch: Batch, device: torch.device, *, shares_prefixes: bool) -> PackedRow:
    """Return the packed row of a batch; shared prefixes end before the documents, which may be compressed."""
    lengths = batch.lengths
    documents = [
        (length, length) if one.segments is None else (one.segments.document_start, one.segments.document_end)
        for one, length in zip(batch.inputs, lengths, strict=True)
    ]
    if not shares_prefixes:
        return PackedRow(lengths, device, documents=documents)
    # One token more, because each input keeps at least one token after its prefix.
    leads = [one.ids[: 1 + (one.segments.document_start if one.segments else 0)] for one in batch.inputs]
    return PackedRow.of_groups(lengths, prefix_groups(leads), device, documents=documents)
