"""Cross-encoders: one sequence classifier reads query and document together and gives one logit.

References: ``XLMRobertaForSequenceClassification`` and ``BertForSequenceClassification`` of
transformers; the backbone runs in the asked precision, the head in float32.
"""

from __future__ import annotations

from typing import Any

import torch
import transformers

from rerank_plugins.protocols import Batch
from rerank_plugins.scorers.base import LoadedParts, LoadRequest, padded_tensors
from rerank_plugins.scorers.heads import Head, build_head
from rerank_plugins.scorers.loading import load_encoder, load_model, read_weights
from rerank_plugins.scorers.segment_similarity import HEAD_NAME, SegmentSimilarityHead

__all__ = ["CrossEncoderScorer", "load"]


class CrossEncoderScorer:
    """A sequence classifier with one label.

    Args:
        model: A transformers ``...ForSequenceClassification`` in eval mode, on its device; or a bare
            backbone if a head is given.
        head: Scores from hidden states; None takes the classifier's own.
    """

    is_padded = True

    def __init__(self, model: Any, *, head: Head | None = None) -> None:
        self._model: Any = model
        self._head = head or build_head(model)

    def forward(self, batch: Batch) -> torch.Tensor:
        """Return one logit per pair. Shape: (inputs, 1), float32."""
        tensors = padded_tensors(batch, self._model)
        if self._head is None:
            logits: torch.Tensor = self._model(**tensors).logits
            return logits.float()
        hidden = self._model.base_model(**tensors).last_hidden_state
        return self._head(hidden, batch)

    def close(self) -> None:
        """Free the weights."""
        self._model = None
        self._head = None


def load(request: LoadRequest) -> LoadedParts:
    """Load a cross-encoder from its checkpoint."""
    encoder = load_encoder(request)
    if request.files.head == HEAD_NAME:
        scorer = _load_segment_similarity(request)
    else:
        scorer = CrossEncoderScorer(load_model(request, transformers.AutoModelForSequenceClassification))
    return LoadedParts(encoder=encoder, scorer=scorer)


def _load_segment_similarity(request: LoadRequest) -> CrossEncoderScorer:
    backbone = load_model(request, transformers.AutoModel)
    weights = read_weights(request.files.folder / "model.safetensors", prefix="head.")
    head = SegmentSimilarityHead.from_weights(weights, hidden_size=backbone.config.hidden_size)
    return CrossEncoderScorer(backbone, head=head.to(request.device))
