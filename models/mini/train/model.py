"""The reranker: a BERT cross-encoder whose head compares the two segments of the joint input.

One forward pass over `[CLS] query [SEP] document [SEP]` with full attention gives states H. The head adds a
cosine of the two segment means, a MaxSim of query tokens over document tokens with learned token weights, an
exact-token-match share with the same weights, and a linear term on [CLS]. Because the backbone is a bi-encoder,
this head ranks well before any training, unlike a fresh classifier on [CLS].
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import BertConfig, BertModel

HEAD_NAME = "segment_similarity"
EPS = 1e-6
CONFIG_KEYS = (
    "attention_probs_dropout_prob",
    "hidden_act",
    "hidden_dropout_prob",
    "hidden_size",
    "initializer_range",
    "intermediate_size",
    "layer_norm_eps",
    "max_position_embeddings",
    "num_attention_heads",
    "num_hidden_layers",
    "pad_token_id",
    "type_vocab_size",
    "vocab_size",
)


@dataclass(frozen=True)
class HeadInit:
    """Starting values of the head's scalars, chosen without labels (see README.md)."""

    mean_scale: float = 10.0
    maxsim_scale: float = 12.0
    exact_scale: float = 3.0


class SegmentSimilarityHead(nn.Module):
    """Score one pair from the final token states of its joint forward pass."""

    def __init__(self, *, hidden_size: int, init: HeadInit | None = None) -> None:
        super().__init__()
        start = init or HeadInit()
        self.mean_scale = nn.Parameter(torch.tensor([start.mean_scale]))
        self.maxsim_scale = nn.Parameter(torch.tensor([start.maxsim_scale]))
        self.exact_scale = nn.Parameter(torch.tensor([start.exact_scale]))
        self.token_weight = nn.Parameter(torch.zeros(1, hidden_size))
        self.linear = nn.Linear(hidden_size, 1)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, states: Tensor, *, input_ids: Tensor, query_mask: Tensor, document_mask: Tensor) -> Tensor:
        """Return logits.

        Args:
            states: Final hidden states. Shape: (batch, tokens, hidden)
            input_ids: Token ids. Shape: (batch, tokens)
            query_mask: True at the query's own tokens, special tokens excluded. Shape: (batch, tokens)
            document_mask: True at the document's own tokens, special tokens excluded. Shape: (batch, tokens)

        Returns:
            Shape: (batch,)
        """
        means = [_masked_mean(states, mask) for mask in (query_mask, document_mask)]
        cosine = nn.functional.cosine_similarity(means[0], means[1], dim=-1, eps=EPS)
        unit = nn.functional.normalize(states, dim=-1, eps=EPS)
        similarity = (unit @ unit.transpose(1, 2)).masked_fill(~document_mask.unsqueeze(1), -1.0).amax(-1)
        equal = input_ids.unsqueeze(2) == input_ids.unsqueeze(1)
        exact = (equal & document_mask.unsqueeze(1)).any(-1).to(states.dtype)
        gate = (states @ self.token_weight[0]).masked_fill(~query_mask, -1e4)
        weights = gate.softmax(-1) * query_mask
        tokens = self.maxsim_scale * similarity + self.exact_scale * exact
        return self.mean_scale * cosine + (weights * tokens).sum(-1) + self.linear(states[:, 0]).squeeze(-1)


def _masked_mean(states: Tensor, mask: Tensor) -> Tensor:
    """Mean over the marked tokens, zero where none is marked. Shape: (batch, hidden)."""
    weights = mask.unsqueeze(-1).to(states.dtype)
    return (states * weights).sum(1) / weights.sum(1).clamp(min=1.0)


class MiniReranker(nn.Module):
    """Backbone and head together."""

    def __init__(self, *, config: BertConfig, init: HeadInit | None = None) -> None:
        super().__init__()
        self.config = config
        self.backbone = BertModel(config, add_pooling_layer=False)
        self.head = SegmentSimilarityHead(hidden_size=config.hidden_size, init=init)

    @classmethod
    def from_bi_encoder(cls, folder: Path, *, init: HeadInit | None = None) -> MiniReranker:
        """Start from a sentence-transformers BERT bi-encoder; its pooler weights are dropped."""
        config = BertConfig.from_pretrained(folder)
        model = cls(config=config, init=init)
        backbone = BertModel.from_pretrained(folder, add_pooling_layer=False)
        model.backbone.load_state_dict(backbone.state_dict())
        return model

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """Return logits of a padded batch with `input_ids`, `attention_mask`, `token_type_ids`. Shape: (batch,)."""
        states = self.backbone(**batch).last_hidden_state
        query_mask, document_mask = segment_masks(batch)
        return self.head(states, input_ids=batch["input_ids"], query_mask=query_mask, document_mask=document_mask)


def segment_masks(batch: dict[str, Tensor], *, cls_id: int = 101, sep_id: int = 102) -> tuple[Tensor, Tensor]:
    """Return the query's and the document's own tokens (no [CLS], [SEP] or padding). Shape: (batch, tokens) each."""
    ids = batch["input_ids"]
    real = (batch["attention_mask"] == 1) & (ids != cls_id) & (ids != sep_id)
    return real & (batch["token_type_ids"] == 0), real & (batch["token_type_ids"] == 1)


def save_checkpoint(model: MiniReranker, folder: Path) -> None:
    """Write float weights and the config; `quantize.py` makes the shipped int8 file from them."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {k.removeprefix("backbone."): v.contiguous() for k, v in model.state_dict().items()}
    save_file(
        {k: v for k, v in tensors.items() if v.is_floating_point()}, folder / "model.safetensors", {"format": "pt"}
    )
    (folder / "config.json").write_text(json.dumps(config_dict(model.config), indent=2) + "\n")


def config_dict(config: BertConfig) -> dict[str, Any]:
    """Return the checkpoint's `config.json`."""
    values = config.to_dict()
    return {name: values[name] for name in CONFIG_KEYS} | {
        # Names that no library knows: one that did would give the backbone a random head.
        "architectures": ["SegmentSimilarityReranker"],
        "model_type": "rerank_plugins_segment_similarity",
        "rerank_plugins": {
            "head": HEAD_NAME,
            "max_length": 512,
            "truncation": "only_second",
            "token_types": [0, 1],
            "special_tokens_in_segments": False,
            "eps": EPS,
            "terms": ["mean_cosine", "maxsim", "exact_match", "cls_linear"],
        },
    }


def load_checkpoint(folder: Path) -> MiniReranker:
    """Read a float or int8-rows checkpoint."""
    stored = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config = BertConfig(**{name: stored[name] for name in CONFIG_KEYS})
    model = MiniReranker(config=config)
    raw = load_file(folder / "model.safetensors")
    tensors: dict[str, Tensor] = {}
    for name, tensor in raw.items():
        if name.endswith(".scale") and name.removesuffix(".scale") in raw:
            continue
        value = tensor.float()
        if tensor.dtype == torch.int8:
            value = value * raw[f"{name}.scale"].unsqueeze(1)
        tensors[name if name.startswith("head.") else f"backbone.{name}"] = value
    missing, unexpected = model.load_state_dict(tensors, strict=False)
    if unexpected or any(name.endswith(("weight", "scale", "bias")) for name in missing):
        message = f"checkpoint {folder} does not match: missing {missing}, unexpected {unexpected}"
        raise ValueError(message)
    return model


__all__ = ["HeadInit", "MiniReranker", "SegmentSimilarityHead", "load_checkpoint", "save_checkpoint", "segment_masks"]
