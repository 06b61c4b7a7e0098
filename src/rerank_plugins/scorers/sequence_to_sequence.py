"""T5 rerankers that answer with their first output token: monoT5.

Reference: castorini/pygaggle ``MonoT5`` (``pygaggle/rerank/transformer.py``): one decoder step from the start token;
its score is the log of the softmax over "false" and "true". Here the score is the difference of the two logits, whose
sigmoid is that softmax.
"""

from __future__ import annotations

from typing import Any

import torch
import transformers

from rerank_plugins.errors import UnsupportedModelError
from rerank_plugins.protocols import Batch
from rerank_plugins.scorers.answers import AnswerHead, answer_ids, untied_rows
from rerank_plugins.scorers.backbone import padded_tensors
from rerank_plugins.scorers.base import LoadedParts, LoadRequest
from rerank_plugins.scorers.loading import load_encoder, load_model

__all__ = ["SequenceToSequenceScorer", "load"]


class SequenceToSequenceScorer:
    """An encoder and a decoder without the output matrix, and the answers' rows of that matrix.

    Args:
        model: The T5 model without head, in eval mode, on its device.
        head: Scores from the decoder's first state.
        start_id: The token the decoder starts from.
    """

    is_padded = True

    def __init__(self, model: Any, head: AnswerHead, *, start_id: int) -> None:
        self._model = model
        self._head: AnswerHead | None = head.to(model.device)
        self._start_id = start_id

    def forward(self, batch: Batch) -> torch.Tensor:
        """Return the score of the first output token of each input. Shape: (inputs, 1), float32."""
        tensors = padded_tensors(batch, self._model)
        start = torch.full((len(batch), 1), self._start_id, dtype=torch.int64, device=self._model.device)
        states = self._model(**tensors, decoder_input_ids=start, use_cache=False).last_hidden_state
        return self._head(states[:, 0])  # type: ignore[misc]

    def close(self) -> None:
        """Free the weights."""
        self._model = None
        self._head = None


def load(request: LoadRequest) -> LoadedParts:
    """Load a T5 reranker from its checkpoint."""
    encoder = load_encoder(request)
    ids = answer_ids(encoder, request.spec.template, model=request.spec.id)
    model: Any = load_model(request, transformers.AutoModel)
    start_id = request.files.config.get("decoder_start_token_id")
    if not isinstance(start_id, int):
        msg = f"{str(request.files.folder)!r} has no decoder_start_token_id in its config.json; T5's is 0"
        raise UnsupportedModelError(msg)
    # transformers' T5ForConditionalGeneration scales by hidden ** -0.5 only where input and output share a matrix.
    if request.files.config.get("tie_word_embeddings", True):
        rows = model.get_input_embeddings().weight[ids].detach().float() * model.config.d_model**-0.5
    else:
        rows = untied_rows(request, ids)
    return LoadedParts(encoder=encoder, scorer=SequenceToSequenceScorer(model, AnswerHead(rows), start_id=start_id))
