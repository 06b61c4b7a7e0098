"""LLM rerankers: a decoder whose score is the logit of "Yes", or that of "yes" minus that of "no".

References: FlagEmbedding 1.3.5 ``FlagLLMReranker`` (``inference/reranker/decoder_only/base.py``) for
bge-reranker-v2-gemma; the model card of Qwen/Qwen3-Reranker-0.6B; mixedbread-ai/mxbai-rerank ``mxbai_rerank_v2.py``.
The logits of the other tokens are never computed.
"""

from __future__ import annotations

from typing import Any

import torch
import transformers

from rerank_plugins.nn.backbone import Backbone
from rerank_plugins.nn.heads import AnswerHead
from rerank_plugins.protocols import Batch
from rerank_plugins.scorers.answers import answer_ids, untied_rows
from rerank_plugins.weights.base import LoadedParts, LoadRequest
from rerank_plugins.weights.loading import load_model
from rerank_plugins.weights.tokenizers import load_tokenizer

__all__ = ["DecoderScorer", "load"]


class DecoderScorer:
    """A transformers decoder without its output matrix, and the answers' rows of that matrix.

    Args:
        backbone: The decoder.
        head: Scores from final states, on the decoder's device.
    """

    def __init__(self, backbone: Backbone, head: AnswerHead) -> None:
        self._backbone: Backbone | None = backbone
        self._head: AnswerHead | None = head
        self.is_padded, self.padding_reason = backbone.is_padded, backbone.padding_reason
        self.prefix_sharing = backbone.prefix_sharing

    def forward(self, batch: Batch) -> torch.Tensor:
        """Return the score at each input's last token. Shape: (inputs, 1), float32."""
        return self._head(self._backbone(batch, reads="last").last())  # type: ignore[misc]

    def compile(self) -> str:
        """Compile the backbone, see :meth:`Backbone.compile`."""
        return self._backbone.compile()  # type: ignore[union-attr]

    def close(self) -> None:
        """Free the weights."""
        self._backbone = None
        self._head = None


def load(request: LoadRequest) -> LoadedParts:
    """Load a decoder from its checkpoint."""
    tokenizer = load_tokenizer(request)
    # Checked before the weights are loaded, which takes long.
    ids = answer_ids(tokenizer, request.spec.template, model=request.spec.id)
    model = load_model(request, transformers.AutoModel)
    head = AnswerHead(_rows(request, model, ids), softcap=getattr(model.config, "final_logit_softcapping", None))
    return LoadedParts(tokenizer=tokenizer, scorer=DecoderScorer(Backbone(model), head.to(model.device)))


def _rows(request: LoadRequest, model: Any, ids: list[int]) -> torch.Tensor:
    if not getattr(model.config, "tie_word_embeddings", True):
        return untied_rows(request, ids)
    rows: torch.Tensor = model.get_input_embeddings().weight[ids].detach().clone()
    return rows
