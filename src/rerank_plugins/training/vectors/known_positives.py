"""Which texts of a batch are a query's own positives although they stand in another query's group.

Counted as negatives they would teach a model that a text that answers a query does not. FlagEmbedding 1.4.2 counts
them (``abc/finetune/embedder/AbsModeling.py``). Texts are told by 64 bits of their hash, which devices can exchange.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor

from rerank_plugins.training.groups import Group
from rerank_plugins.training.vectors.gathering import gathered

__all__ = ["KEYS", "batch_keys", "known_positives"]

KEYS = "keys"
"""In a batch: the keys of its queries, its texts, and all positives of its rows."""

_PART = 64
"""Positives that are compared at a time: a row may have thousands."""


def batch_keys(groups: Sequence[Group], texts: Sequence[str] | None = None) -> dict[str, Tensor]:
    """Return the keys of a batch: ``queries`` (groups,), ``texts`` (texts,) and ``positives`` (groups, most of a row).

    Args:
        groups: The groups.
        texts: As the rows have them, for what is compared; None for the texts of the groups in their order.
    """
    if texts is None:
        texts = [text for group in groups for text in group.sources or group.texts]
    positives = [[_key(text) for text in dict.fromkeys(group.positives or group.texts[:1])] for group in groups]
    most = max(map(len, positives))
    return {
        "queries": torch.tensor([_key(group.query) for group in groups]),
        "texts": torch.tensor([_key(text) for text in texts], dtype=torch.int64),
        # What is repeated changes nothing.
        "positives": torch.tensor([one + one[:1] * (most - len(one)) for one in positives]),
    }


def known_positives(keys: dict[str, Tensor], owners: Tensor, *, crosses: bool = False) -> Tensor:
    """Return which texts of other groups are a query's positives: of its row, or of a row with the very same query.

    Args:
        keys: See :func:`batch_keys`.
        owners: The number of each text's group, among the groups of all devices with ``crosses``. Shape: (texts,).
        crosses: Whether queries and texts are those of all devices; keys are this one's.

    Returns:
        Shape: (queries, texts), bool. False for a query's own group, whatever its texts are.
    """
    queries, texts, positives = keys["queries"], keys["texts"], keys["positives"]
    if crosses:
        texts = gathered(texts)
    found = torch.zeros(len(queries), len(texts), dtype=torch.bool, device=texts.device)
    for start in range(0, positives.shape[1], _PART):
        found |= (positives[:, start : start + _PART].unsqueeze(2) == texts).any(dim=1)
    if crosses:
        queries, found = gathered(queries), gathered(found.to(torch.uint8)).bool()
    is_same = queries.unsqueeze(1) == queries
    if is_same.sum() > len(queries):
        found = is_same.float() @ found.float() > 0
    return found & (owners != torch.arange(len(queries), device=owners.device).unsqueeze(1))


def _key(text: str) -> int:
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)
