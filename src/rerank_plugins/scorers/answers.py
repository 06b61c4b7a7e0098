"""Heads of LLM rerankers, whose score is the logit of a token ("Yes"), or the difference of two.

Of the output matrix only the rows of the answers are kept, in float32. With two answers the score is the difference of
their logits: its sigmoid is the softmax over the two, which the models' cards take.
"""

from __future__ import annotations

import torch

from rerank_plugins.catalog.templates import PairTemplate
from rerank_plugins.errors import UnsupportedModelError
from rerank_plugins.text.tokenizer import TextTokenizer
from rerank_plugins.weights.base import LoadRequest
from rerank_plugins.weights.weight_files import WeightFiles

__all__ = ["AnswerHead", "answer_ids", "untied_rows"]

_OUTPUT = "lm_head.weight"


class AnswerHead:
    """The logit of one token, or the difference of two.

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


def answer_ids(tokenizer: TextTokenizer, template: PairTemplate | None, *, model: str) -> list[int]:
    """Return the ids of the answers, the wanted one first.

    Raises:
        UnsupportedModelError: The tokenizer has no such token, or nothing says which tokens answer.
    """
    answers = [] if template is None else [text for text in (template.answer, template.rejection) if text]
    if template is None or not answers:
        msg = f"nothing says with which token {model!r} answers; its catalog entry needs a template with an answer"
        raise UnsupportedModelError(msg)
    found = [_answer_id(tokenizer, text, by_text=template.answers_are == "texts") for text in answers]
    lost = [text for text, index in zip(answers, found, strict=True) if index is None or index == tokenizer.unknown_id]
    if lost or len(set(found)) < len(found):
        msg = (
            f"the tokenizer of {model!r} has no token of its own for {' and '.join(map(repr, lost or answers))}, from "
            "which the score is read. Is it the tokenizer the model was trained with?"
        )
        raise UnsupportedModelError(msg)
    return [index for index in found if index is not None]


def untied_rows(request: LoadRequest, ids: list[int]) -> torch.Tensor:
    """Return rows of an output matrix that is not the embedding matrix. Shape: (ids, hidden).

    Raises:
        UnsupportedModelError: The checkpoint lacks the matrix, or has a bias beside it.
    """
    files = WeightFiles(request.files.folder)
    if _OUTPUT not in files:
        msg = f"{str(request.files.folder)!r} lacks {_OUTPUT}, which its config does not tie to the embeddings"
        raise UnsupportedModelError(msg)
    if "lm_head.bias" in files:
        msg = f"{str(request.files.folder)!r} adds a bias to its logits (lm_head.bias), which is not run here"
        raise UnsupportedModelError(msg)
    return torch.stack([files.row(_OUTPUT, index) for index in ids])


def _answer_id(tokenizer: TextTokenizer, text: str, *, by_text: bool) -> int | None:
    if not by_text:
        return tokenizer.token_to_id(text)
    ids = tokenizer.encode_one(text).ids
    return int(ids[0]) if len(ids) else None
