"""Decoders that answer with one token: the score is the logit of "Yes" behind the prompt.

Reference: FlagEmbedding 1.3.5 ``FlagLLMReranker`` (``inference/reranker/decoder_only/base.py``) with
bge-reranker-v2-gemma. Of the output matrix only that token's row is kept, in float32; the logits of the whole
vocabulary are never made.
"""

from __future__ import annotations

from typing import Any

import torch
import transformers

from rerank_plugins.errors import UnsupportedModelError
from rerank_plugins.protocols import Batch
from rerank_plugins.scorers.backbone import padded_tensors
from rerank_plugins.scorers.base import LoadedParts, LoadRequest
from rerank_plugins.scorers.loading import load_encoder, load_model
from rerank_plugins.scorers.weight_files import WeightFiles
from rerank_plugins.text.tokenizer import TextEncoder

__all__ = ["DecoderScorer", "load"]

_ANSWER = "Yes"


class DecoderScorer:
    """A transformers decoder without its output matrix, and one row of that matrix.

    Args:
        model: The decoder, in eval mode, on its device.
        answer_row: The answer token's row of the output matrix. Shape: (hidden,).
    """

    is_padded = True

    def __init__(self, model: Any, answer_row: torch.Tensor) -> None:
        self._model = model
        self._row = answer_row.to(device=model.device, dtype=torch.float32)

    def forward(self, batch: Batch) -> torch.Tensor:
        """Return the answer's logit at each input's last token. Shape: (inputs, 1), float32."""
        # Padding on the right: no token sees it, since a decoder looks back only.
        states = self._model(**padded_tensors(batch, self._model), use_cache=False).last_hidden_state
        ends = torch.tensor(batch.lengths, device=states.device) - 1
        last: torch.Tensor = states[torch.arange(len(batch), device=states.device), ends].float()
        return last @ self._row.unsqueeze(1)

    def close(self) -> None:
        """Free the weights."""
        self._model = None
        self._row = self._row[:0].clone()


def load(request: LoadRequest) -> LoadedParts:
    """Load a decoder from its checkpoint."""
    encoder = load_encoder(request)
    model = load_model(request, transformers.AutoModel)
    return LoadedParts(encoder=encoder, scorer=DecoderScorer(model, _answer_row(request, model, encoder)))


def _answer_row(request: LoadRequest, model: Any, encoder: TextEncoder) -> torch.Tensor:
    answer = encoder.encode_one(_ANSWER).ids
    if not len(answer):
        msg = f"the tokenizer of {request.spec.id!r} has no token for {_ANSWER!r}"
        raise UnsupportedModelError(msg)
    index = int(answer[0])
    if not getattr(model.config, "tie_word_embeddings", True):
        files = WeightFiles(request.files.folder)
        if "lm_head.weight" not in files:
            msg = f"{str(request.files.folder)!r} lacks lm_head.weight, which its config does not tie to the embeddings"
            raise UnsupportedModelError(msg)
        return files.row("lm_head.weight", index)
    row: torch.Tensor = model.get_input_embeddings().weight[index].detach().clone()
    return row
