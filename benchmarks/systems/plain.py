"""Plain transformers: the reference for scores, and what one writes by hand, padded as it comes or sorted by length."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
import transformers

from benchmarks.systems.base import OpenRequest, Pairs, System, SystemSpec

__all__ = ["PLAIN", "SORTED", "SORTED_BF16", "PlainTransformers", "budget_batches"]

_BATCH = 32
_BUDGET_TOKENS = 1_024
"""Padded slots of a sorted batch on a CPU: the fastest of 512 to 4,096."""


class PlainTransformers:
    """A transformers classifier fed with padded batches.

    Args:
        request: What to open.
        dtype: Precision of the whole model.
        sort: Whether pairs are sorted by their length in tokens and batched under a budget of padded slots; else they
            are cut into batches of 32 as they come.
    """

    def __init__(self, request: OpenRequest, *, dtype: torch.dtype = torch.float32, sort: bool = False) -> None:
        self.tokenizer = transformers.PreTrainedTokenizerFast.from_pretrained(request.folder)
        model = transformers.AutoModelForSequenceClassification.from_pretrained(request.folder)
        self.model: Any = model.eval().to(device=request.device, dtype=dtype)
        self._max_length = request.max_length
        self._sort = sort
        self._device = request.device

    def score(self, pairs: Pairs) -> list[float]:
        """Return the raw logit of each pair, in order."""
        batches = [list(range(start, min(start + _BATCH, len(pairs)))) for start in range(0, len(pairs), _BATCH)]
        encoded: Any = None
        if self._sort:
            encoded = self._encode(pairs, padding=False)["input_ids"]
            batches = budget_batches([len(ids) for ids in encoded], budget_tokens=_BUDGET_TOKENS)
        scores = [0.0] * len(pairs)
        with torch.inference_mode():
            for batch in batches:
                tensors = self._encode([pairs[index] for index in batch], padding=True, return_tensors="pt")
                logits = self.model(**tensors.to(self._device)).logits
                for index, value in zip(batch, logits[:, 0].float().tolist(), strict=True):
                    scores[index] = value
        return scores

    def _encode(self, pairs: Pairs, **options: Any) -> Any:
        queries, documents = [query for query, _ in pairs], [document for _, document in pairs]
        return self.tokenizer(queries, documents, truncation=True, max_length=self._max_length, **options)

    def close(self) -> None:
        """Give memory back."""
        self.model = None


def budget_batches(lengths: list[int], *, budget_tokens: int) -> list[list[int]]:
    """Return batches of indices, longest first, that pad to at most ``budget_tokens`` slots (a lone one may exceed)."""
    batches: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda index: -lengths[index]):
        if batches and lengths[batches[-1][0]] * (len(batches[-1]) + 1) <= budget_tokens:
            batches[-1].append(index)
        else:
            batches.append([index])
    return batches


def _open(request: OpenRequest, *, dtype: torch.dtype = torch.float32, sort: bool = False) -> System:
    return PlainTransformers(request, dtype=dtype, sort=sort)


PLAIN = SystemSpec(name="plain transformers, batch 32", dtype="float32", open=_open)
SORTED = SystemSpec(name="plain transformers, length-sorted", dtype="float32", open=partial(_open, sort=True))
SORTED_BF16 = SystemSpec(
    name="plain transformers, length-sorted", dtype="bfloat16", open=partial(_open, sort=True, dtype=torch.bfloat16)
)
