"""Answers of LLM rerankers ("Yes"): their token ids, and their rows of the output matrix.

The head over these rows is :class:`~rerank_plugins.nn.heads.AnswerHead`.
"""

from __future__ import annotations

import torch

from rerank_plugins.catalog.templates import PairTemplate
from rerank_plugins.errors import UnsupportedModelError
from rerank_plugins.text.tokenizer import TextTokenizer
from rerank_plugins.weights.base import LoadRequest
from rerank_plugins.weights.weight_files import WeightFiles

__all__ = ["answer_ids", "untied_rows"]

_OUTPUT = "lm_head.weight"


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
