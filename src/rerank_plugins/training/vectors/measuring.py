"""Dev measures of a model that makes vectors, while it is trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from rerank_plugins.evaluation.measures import Evaluation
from rerank_plugins.text.tokenizer import is_blank
from rerank_plugins.training.dev import DevSet
from rerank_plugins.types import BLANK_DOCUMENT_SCORE

__all__ = ["VectorScorer", "dense_pair", "encoded_texts", "late_pair", "vector_scores"]

Inputs = Callable[[Sequence[str]], dict[str, Tensor]]
Pair = Callable[[Tensor, Tensor], float]
"""The score of the vectors of a query and of a text."""
Encode = Callable[[Sequence[str]], Sequence[Tensor]]
"""Texts to what is compared of them."""


def dense_pair(query: Tensor, text: Tensor) -> float:
    """Return the inner product of two vectors, which have length 1 where the run wants it."""
    return float(query @ text)


def late_pair(query: Tensor, text: Tensor) -> float:
    """Return MaxSim of token vectors of length 1. Shape: (query tokens, dim) and (text tokens, dim)."""
    return float((query @ text.T).amax(dim=1).sum()) if len(text) else 0.0


def encoded_texts(
    module: Any, inputs: Inputs, texts: Sequence[str], *, batch_size: int, vectors: Callable[..., list[Tensor]]
) -> list[Tensor]:
    """Return what a module makes of texts, in order; it is left in training or evaluation mode, as it was.

    Args:
        module: Encodes tensors.
        inputs: Makes them.
        texts: With their instruction.
        batch_size: Texts of a forward pass; those of similar length go together.
        vectors: Takes what the module gives and its tensors; one tensor for each text.
    """
    order = sorted(range(len(texts)), key=lambda one: len(texts[one]))
    found: list[Tensor] = [torch.empty(0)] * len(texts)
    device = next(module.parameters()).device
    was_training = module.training
    module.eval()
    try:
        with torch.no_grad():
            for start in range(0, len(order), batch_size):
                chosen = order[start : start + batch_size]
                tensors = {name: one.to(device) for name, one in inputs([texts[row] for row in chosen]).items()}
                for row, one in zip(chosen, vectors(module.encode(tensors), tensors), strict=True):
                    found[row] = one.float().cpu()
    finally:
        module.train(was_training)
    return found


def vector_scores(dev: DevSet, queries: Encode, texts: Encode, pair: Pair) -> list[float]:
    """Return the score of each pair of a dev set by vectors; blank texts are last.

    Args:
        dev: The dev set.
        queries: Gives what is compared of queries, without their instruction.
        texts: Gives what is compared of texts.
        pair: The score of two of these.
    """
    pairs = dev.pairs
    unique = list(dict.fromkeys(query for query, _ in pairs))
    read = list(dict.fromkeys(text for _, text in pairs if not is_blank(text)))
    of_query = dict(zip(unique, queries(unique), strict=True))
    of_text = dict(zip(read, texts(read), strict=True))
    return [pair(of_query[query], of_text[text]) if text in of_text else BLANK_DOCUMENT_SCORE for query, text in pairs]


class VectorScorer:
    """Measures the module of a training on a dev set.

    Args:
        dev: The dev set.
        queries: See :func:`vector_scores`.
        texts: Likewise.
        pair: Likewise.
    """

    def __init__(self, dev: DevSet, queries: Encode, texts: Encode, pair: Pair) -> None:
        self._dev, self._queries, self._texts, self._pair = dev, queries, texts, pair

    def measure(self, _module: object = None) -> Evaluation:
        """Return the measures of the module as it is."""
        return self._dev.measured(self.scores())

    def scores(self) -> list[float]:
        """Return the score of each pair by the module as it is."""
        return vector_scores(self._dev, self._queries, self._texts, self._pair)
