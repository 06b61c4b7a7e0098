"""TART-full: the encoder of a T5 with a classifier of two labels on its first token.

Reference: facebookresearch/tart ``EncT5ForSequenceClassification`` (``TART/src/modeling_enc_t5.py``) and ``Rerank``
(``TART/src/rerank.py``), which takes the softmax of label 1. Here the score is the difference of the two logits, whose
sigmoid is that softmax; it is one row, in float32.
"""

from __future__ import annotations

from typing import Any

import torch
import transformers

from rerank_plugins.nn.backbone import Backbone
from rerank_plugins.protocols import Batch
from rerank_plugins.weights.base import LoadedParts, LoadRequest
from rerank_plugins.weights.loading import load_model
from rerank_plugins.weights.tokenizers import load_tokenizer

__all__ = ["EncoderT5Scorer", "load"]

N_LABELS = 2
"""Not relevant, relevant."""


class EncoderT5Scorer:
    """A T5 encoder and the difference of the classifier's two rows.

    Args:
        backbone: The encoder.
        row: Label 1's row minus label 0's. Shape: (hidden,), float32.
        bias: The same of the biases.
    """

    def __init__(self, backbone: Backbone, row: torch.Tensor, bias: float) -> None:
        self._backbone: Backbone | None = backbone
        self._row, self._bias = row, bias
        self.is_padded, self.padding_reason = backbone.is_padded, backbone.padding_reason

    def forward(self, batch: Batch) -> torch.Tensor:
        """Return one logit per pair. Shape: (inputs, 1), float32."""
        states = self._backbone(batch, reads="first").first()  # type: ignore[misc]
        return (states @ self._row + self._bias).unsqueeze(1)

    def compile(self) -> str:
        """Compile the backbone, see :meth:`Backbone.compile`."""
        return self._backbone.compile()  # type: ignore[union-attr]

    def close(self) -> None:
        """Free the weights."""
        self._backbone = None
        self._row = self._row[:0].clone()


class _EncoderT5(transformers.T5EncoderModel):  # type: ignore[no-untyped-call]
    """The reference's module names, so that transformers loads its weights: an encoder and ``classifier``."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.classifier = torch.nn.Linear(config.d_model, N_LABELS)


def load(request: LoadRequest) -> LoadedParts:
    """Load a TART-full checkpoint."""
    model: Any = load_model(request, _EncoderT5)
    weight, bias = model.classifier.weight.detach().float(), model.classifier.bias.detach().float()
    backbone = Backbone(model)
    scorer = EncoderT5Scorer(backbone, weight[1] - weight[0], float(bias[1] - bias[0]))
    return LoadedParts(tokenizer=load_tokenizer(request), scorer=scorer)
