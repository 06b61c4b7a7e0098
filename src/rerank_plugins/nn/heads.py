"""Heads of sequence classifiers and of LLM rerankers, run in float32 whatever the backbone's precision.

Near a logit of 18, bfloat16 has steps of about 0.07, enough to swap two ranks.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from rerank_plugins.nn.backbone import TokenStates
from rerank_plugins.protocols import Batch

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = ["AnswerHead", "FirstTokenHead", "Head", "build_head", "by_input"]

Head = Callable[[TokenStates, Batch], torch.Tensor]
"""(final token states, batch) to scores (inputs, 1), float32."""


def by_input(head: Head, states: TokenStates, batch: Batch, *, apart: bool) -> torch.Tensor:
    """Return what a head gives for a batch.

    Args:
        head: The head.
        states: Final token states of the batch, or one a text.
        batch: The inputs.
        apart: Whether each input goes through the head alone. float32 products of several rows are summed in another
            order than those of one, so this makes results the same in every batch, to the last bit.
    """
    if not apart or len(batch) == 1:
        return head(states, batch)
    parts = zip(states.alone(), batch.inputs, strict=True)
    return torch.cat([head(one, Batch([inputs], batch.options)) for one, inputs in parts])


class FirstTokenHead:
    """A head that reads the first token only, so that the last layer computes no other token.

    Args:
        module: First tokens' states, shape (inputs, 1, hidden), to scores, shape (inputs, 1).
    """

    def __init__(self, module: Callable[[torch.Tensor], torch.Tensor]) -> None:
        self._module = module

    def __call__(self, states: TokenStates, _batch: Batch) -> torch.Tensor:
        """Return one score per input. Shape: (inputs, 1), float32."""
        return self._module(states.first().unsqueeze(1))


class AnswerHead:
    """Scores read from the logits of answers ("Yes", "No"): that of one token, or the difference of two.

    Of the output matrix only the rows of the answers are kept. With two answers the sigmoid of the score is the softmax
    over the two, which the models' cards take.

    Args:
        rows: The answers' rows of the output matrix, the wanted one first. Shape: (1 or 2, hidden).
        softcap: Bound of every logit (``final_logit_softcapping``); None for none.
    """

    def __init__(self, rows: torch.Tensor, *, softcap: float | None = None) -> None:
        exact = rows.float()
        # One row where that is exact: the two logits are large and nearly equal, their difference is not.
        self._rows = exact[:1] - exact[1:] if len(exact) > 1 and softcap is None else exact
        self._softcap = softcap

    def __call__(self, states: torch.Tensor) -> torch.Tensor:
        """Return the scores of final states. Shapes: (inputs, hidden) to (inputs, 1), float32."""
        logits = states.float() @ self._rows.T
        if self._softcap is not None:
            logits = self._softcap * torch.tanh(logits / self._softcap)
        return logits if logits.shape[1] == 1 else logits[:, :1] - logits[:, 1:]

    def to(self, device: torch.device) -> AnswerHead:
        """Move the rows to a device and return the head."""
        self._rows = self._rows.to(device)
        return self


def build_head(model: PreTrainedModel) -> Head | None:
    """Return the float32 head of a classifier, or None if its architecture is not known here.

    The module is copied: a model that somebody else loaded is not changed.
    """
    if not type(model).__module__.startswith("transformers.models."):
        # A checkpoint's own code may call itself "bert" and compute something else.
        return None
    builder = _BUILDERS.get(str(model.config.model_type))
    return builder(model) if builder else None


def _roberta(model: Any) -> Head:
    # RobertaClassificationHead: dense, tanh, out_proj on the first token.
    return FirstTokenHead(copy.deepcopy(model.classifier).float().eval())


def _bert(model: Any) -> Head:
    # BertPooler (dense, tanh on the first token), then a linear layer.
    pooler = copy.deepcopy(model.base_model.pooler).float().eval()
    classifier = copy.deepcopy(model.classifier).float().eval()
    return FirstTokenHead(lambda first: classifier(pooler(first)))


def _deberta(model: Any) -> Head:
    # DebertaV2ForSequenceClassification: ContextPooler (dense, activation on the first token), then a linear layer.
    pooler = copy.deepcopy(model.pooler).float().eval()
    classifier = copy.deepcopy(model.classifier).float().eval()
    return FirstTokenHead(lambda first: classifier(pooler(first)))


def _modernbert(model: Any) -> Head:
    # ModernBertForSequenceClassification: the first token or the mean of all, dense, activation, norm, linear.
    dense = copy.deepcopy(model.head).float().eval()
    classifier = copy.deepcopy(model.classifier).float().eval()
    takes_mean = model.config.classifier_pooling == "mean"

    def head(states: TokenStates, _batch: Batch) -> torch.Tensor:
        pooled = states.mean() if takes_mean else states.first()
        return classifier(dense(pooled))  # type: ignore[no-any-return]

    return head


_BUILDERS: dict[str, Callable[[Any], Head]] = {
    "bert": _bert,
    "camembert": _roberta,
    "deberta-v2": _deberta,
    "gte": _bert,
    "modernbert": _modernbert,
    "roberta": _roberta,
    "xlm-roberta": _roberta,
}
