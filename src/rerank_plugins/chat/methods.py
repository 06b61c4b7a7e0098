"""How a chat model ranks: one document at a time, in pairs, in sets, or as a list.

Each method is a value that holds its settings and its prompt. :class:`Pointwise` gives scores that mean the same in
every call; the others give an order, and the score of a document is 1 / its rank.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from rerank_plugins.chat.comparing import Pairwise, Setwise
from rerank_plugins.chat.listwise import Listwise
from rerank_plugins.chat.method import RankingMethod
from rerank_plugins.chat.pointwise import Pointwise

__all__ = ["METHODS", "Listwise", "MethodName", "Pairwise", "Pointwise", "RankingMethod", "Setwise"]

MethodName = Literal["pointwise", "pairwise", "setwise", "listwise"]

METHODS: Mapping[str, RankingMethod] = MappingProxyType(
    {"pointwise": Pointwise(), "pairwise": Pairwise(), "setwise": Setwise(), "listwise": Listwise()}
)
"""Each method with its defaults, by name."""
