"""How likely a causal language model finds the end of a text: log-likelihood of an answer after its prompt.

The decoder runs packed, as for LLM rerankers; logits are computed only where an answer's token is predicted.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import transformers

from rerank_plugins.errors import UnsupportedModelError
from rerank_plugins.nn.backbone import Backbone
from rerank_plugins.protocols import Batch, TokenInput
from rerank_plugins.weights.base import LoadedParts, LoadRequest
from rerank_plugins.weights.loading import load_model
from rerank_plugins.weights.tokenizers import load_tokenizer

__all__ = ["LikelihoodScorer", "load"]

_POSITIONS = 128
"""Positions whose logits are in memory together: 80 MB with a vocabulary of 150,000."""

_TRIAL_IDS = (5, 3, 9, 4, 7, 6, 8, 5, 10, 3)
_TOLERANCE, _HALF_TOLERANCE = 1e-3, 0.25


class LikelihoodScorer:
    """A decoder and its output matrix.

    Args:
        backbone: The decoder without output matrix.
        output: Final states to logits, shape (positions, hidden) to (positions, vocabulary).
        dtype: Precision of the output matrix.
        softcap: Bound of every logit (``final_logit_softcapping``); None for none.
    """

    def __init__(self, backbone: Backbone, output: Any, *, dtype: torch.dtype, softcap: float | None = None) -> None:
        self._backbone: Backbone | None = backbone
        self._output: Any = output
        self._dtype, self._softcap = dtype, softcap
        self.is_padded, self.padding_reason = backbone.is_padded, backbone.padding_reason

    def forward(self, batch: Batch) -> torch.Tensor:
        """Return for each input the sum of the log-probabilities of its answer's tokens, and how many these are.

        The answer's tokens are those with the type id 1; none of them is an input's first. Shape: (inputs, 2), float32.
        """
        states = self._backbone(batch, reads="all")  # type: ignore[misc]
        device = states.flat.device
        types = torch.from_numpy(np.concatenate([one.type_ids for one in batch.inputs])).to(device)
        ids = torch.from_numpy(np.concatenate([one.ids for one in batch.inputs]).astype(np.int64)).to(device)
        places = torch.nonzero(types == 1).flatten()
        values = torch.zeros(len(batch), 2, device=device)
        for some in torch.split(places, _POSITIONS):
            # The state before a token predicts it.
            logits = self._output(states.flat[some - 1].to(self._dtype)).float()
            if self._softcap is not None:
                logits = self._softcap * torch.tanh(logits / self._softcap)
            found = torch.log_softmax(logits, dim=1).gather(1, ids[some].unsqueeze(1)).flatten()
            values.index_add_(0, states.row.text_of_token[some], torch.stack([found, torch.ones_like(found)], dim=1))
        return values

    def close(self) -> None:
        """Free the weights."""
        self._backbone, self._output = None, None


def load(request: LoadRequest) -> LoadedParts:
    """Load a causal language model from its checkpoint.

    Raises:
        UnsupportedModelError: It is none, or does more to its logits than is done here.
    """
    tokenizer = load_tokenizer(request)
    model: Any = load_model(request, transformers.AutoModelForCausalLM)
    ids = torch.tensor([[one % model.config.vocab_size for one in _TRIAL_IDS]], device=model.device)
    with torch.inference_mode():
        wanted = torch.log_softmax(model(input_ids=ids).logits[0, :-1].float(), dim=1)
    scorer = LikelihoodScorer(
        Backbone(model.base_model),
        model.get_output_embeddings(),
        dtype=request.dtype,
        softcap=getattr(model.config, "final_logit_softcapping", None),
    )
    _check(scorer, ids[0], wanted, request)
    return LoadedParts(tokenizer=tokenizer, scorer=scorer)


def _check(scorer: LikelihoodScorer, ids: torch.Tensor, wanted: torch.Tensor, request: LoadRequest) -> None:
    """Compare a sum of log-probabilities with transformers' own, as some models scale their logits."""
    array = ids.cpu().numpy().astype(np.int32)
    types = np.ones_like(array)
    types[0] = 0
    with torch.inference_mode():
        found = float(scorer.forward(Batch([TokenInput(array, types)]))[0, 0])
    expected = float(wanted.gather(1, ids[1:].unsqueeze(1)).sum())
    tolerance = _TOLERANCE if request.dtype == torch.float32 else _HALF_TOLERANCE
    if not abs(found - expected) <= tolerance * max(1.0, abs(expected)):
        msg = (
            f"{str(request.files.folder)!r} ({request.files.architecture}) gives a trial text the log-likelihood "
            f"{expected:.4f}, and here {found:.4f}: it does something to its logits that is not run; choose another one"
        )
        raise UnsupportedModelError(msg)
