"""What all parts of the suite share: the fixture to define, and nodes to rerank."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import NodeRelationship, NodeWithScore, RelatedNodeInfo, TextNode

__all__ = ["QUERY", "ConformanceBase", "MakePostprocessor", "ScoredId", "snapshot", "summary"]

MakePostprocessor = Callable[..., BaseNodePostprocessor]

QUERY = "What does a panda eat?"

_TEXTS = (
    "Paris is the capital of France.",
    "The giant panda eats bamboo and sleeps most of the day.",
    "",
    "Net revenue grew in 2019.\n\nIt fell in 2018.",
    "   \n",
    "A panda is a bear of China.",
)


class ConformanceBase:
    """Base of the suite's parts."""

    @pytest.fixture
    def make(self) -> MakePostprocessor:
        """Return a callable that takes options and returns a postprocessor. Override it."""
        msg = "define a fixture 'make' that returns a callable: options in, postprocessor out"
        raise NotImplementedError(msg)

    @pytest.fixture
    def nodes(self) -> list[NodeWithScore]:
        """Six retrieved nodes: with metadata, excluded keys, a relationship, and two blank texts."""
        return [_node(index, text) for index, text in enumerate(_TEXTS)]


def snapshot(nodes: list[NodeWithScore]) -> list[dict[str, Any]]:
    """Return everything the nodes hold, for comparing later."""
    return [one.model_dump() for one in nodes]


@dataclass(frozen=True, eq=False)
class ScoredId:
    """A node's id and score; equal to another with the same id and a score that differs by no more than rounding."""

    node_id: str
    score: float | None

    def __eq__(self, other: object) -> bool:
        """Return whether both are the same but for what else was in the batch (1e-4)."""
        if not isinstance(other, ScoredId) or other.node_id != self.node_id:
            return False
        if self.score is None or other.score is None:
            return self.score is other.score
        return math.isclose(self.score, other.score, rel_tol=0.0, abs_tol=1e-4)


def summary(nodes: list[NodeWithScore]) -> list[ScoredId]:
    """Return ids and scores, for comparing."""
    return [ScoredId(one.node_id, one.score) for one in nodes]


def _node(index: int, text: str) -> NodeWithScore:
    node = TextNode(
        id_=f"n{index}",
        text=text,
        metadata={} if not text.strip() else {"file": f"f{index}.txt", "page": index},
        excluded_llm_metadata_keys=["page"],
        excluded_embed_metadata_keys=["page"],
        relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id="document")},
    )
    return NodeWithScore(node=node, score=0.9 - index / 10)
