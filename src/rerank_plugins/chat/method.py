"""What a method is: questions about the documents of a query, and a score of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from rerank_plugins.chat.asking import ChatContext, Steps

__all__ = ["RankingMethod", "scores_of_order", "single_field"]


@runtime_checkable
class RankingMethod(Protocol):
    """A way to rank with a chat model.

    Attributes:
        compares: Whether a score says only where a document stands among those of its call.
    """

    @property
    def compares(self) -> bool:
        """See the class."""
        ...

    def scores(self, context: ChatContext, query: str, documents: Sequence[str]) -> Steps[list[float | None]]:
        """Yield questions about the documents of a query; return a score of each, None where none was given."""
        ...


def scores_of_order(order: Sequence[int]) -> list[float | None]:
    """Return the scores of documents by their places in an order: 1 / rank."""
    scores: list[float | None] = [None] * len(order)
    for rank, place in enumerate(order, start=1):
        scores[place] = 1.0 / rank
    return scores


def single_field(name: str, value: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON schema of an object with one field."""
    return {"type": "object", "properties": {name: dict(value)}, "required": [name], "additionalProperties": False}
