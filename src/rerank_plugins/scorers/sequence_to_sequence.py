"""T5 rerankers whose score is read from their first output token: monoT5.

Reference: castorini/pygaggle ``MonoT5`` (``pygaggle/rerank/transformer.py``): one decoder step from the start token;
its score is the log of the softmax over "false" and "true". Here the score is the difference of the two logits, whose
sigmoid is that softmax.
"""

from __future__ import annotations

from typing import Any

import torch
import transformers

from rerank_plugins.errors import UnsupportedModelError
from rerank_plugins.nn.backbone import padded_tensors
from rerank_plugins.nn.heads import AnswerHead
from rerank_plugins.protocols import Batch
from rerank_plugins.scorers.answers import answer_ids
from rerank_plugins.weights.base import LoadedParts, LoadRequest
from rerank_plugins.weights.loading import load_model
from rerank_plugins.weights.tokenizers import load_tokenizer

__all__ = ["SequenceToSequenceScorer", "load"]


class SequenceToSequenceScorer:
    """An encoder and a decoder, and the answers' rows of the output matrix; the other rows are not run.

    Args:
        model: The T5 model, in eval mode, on its device.
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
        states = self._model.decoder(
            input_ids=start,
            encoder_hidden_states=self._model.encoder(**tensors).last_hidden_state,
            encoder_attention_mask=tensors["attention_mask"],
            use_cache=False,
        ).last_hidden_state
        return self._head(states[:, 0])  # type: ignore[misc]

    def close(self) -> None:
        """Free the weights."""
        self._model = None
        self._head = None


def load(request: LoadRequest) -> LoadedParts:
    """Load a T5 reranker from its checkpoint."""
    tokenizer = load_tokenizer(request)
    ids = answer_ids(tokenizer, request.spec.template, model=request.spec.id)
    model: Any = load_model(request, transformers.AutoModelForSeq2SeqLM)
    config = model.config
    start_id = getattr(config, "decoder_start_token_id", None)
    if not isinstance(start_id, int):
        msg = f"{str(request.files.folder)!r} has no decoder_start_token_id in its config.json; T5's is 0"
        raise UnsupportedModelError(msg)
    rows = model.get_output_embeddings().weight[ids].detach().float()
    # transformers 4 derives T5's scaling of the last state from tied matrices; transformers 5 has a setting for it.
    if getattr(config, "scale_decoder_outputs", config.tie_word_embeddings):
        rows = rows * config.d_model**-0.5
    return LoadedParts(tokenizer=tokenizer, scorer=SequenceToSequenceScorer(model, AnswerHead(rows), start_id=start_id))
