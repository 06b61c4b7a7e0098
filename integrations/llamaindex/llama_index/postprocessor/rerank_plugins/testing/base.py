"""What all parts of the suite share: the fixture to define, and nodes to rerank."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import NodeRelationship, NodeWithScore, RelatedNodeInfo, TextNode

__all__ = ["QUERY", "ConformanceBase", "MakePostprocessor", "snapshot", "summary"]

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


def summary(nodes: list[NodeWithScore]) -> list[tuple[str, float | None]]:
    """Return ids and scores, rounded to what padding may change."""
    return [(one.node_id, None if one.score is None else round(one.score, 4)) for one in nodes]


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
