"""From scored documents back to nodes: new objects, the caller's own are left as they were.

What is known about a result is written to the metadata of a copy of its node and kept out of the text
that an LLM or an embedding model sees.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from llama_index.core.schema import BaseNode, MetadataMode, NodeWithScore

from rerank_plugins.adapters.fallback import FallbackReason
from rerank_plugins.adapters.metadata import DETAIL_KEYS, FALLBACK_KEY, RETRIEVAL_RANK_KEY, RETRIEVAL_SCORE_KEY

__all__ = ["fallen_back", "retrieval_score_of", "scored_text", "with_metadata"]

_OWN_KEYS = frozenset((RETRIEVAL_SCORE_KEY, RETRIEVAL_RANK_KEY, *DETAIL_KEYS))


def scored_text(node: BaseNode, mode: MetadataMode) -> str:
    """Return the text of a node that is scored; what an earlier reranking wrote is never part of it."""
    if _OWN_KEYS & node.metadata.keys():
        own = {key: value for key, value in node.metadata.items() if key not in _OWN_KEYS}
        node = node.model_copy(update={"metadata": own})
    return node.get_content(metadata_mode=mode)


def retrieval_score_of(result: NodeWithScore) -> dict[str, float]:
    """Return the score that a node was retrieved with, or nothing if it had none.

    After an earlier reranking, that is the score which the first one kept.
    """
    node = result.node
    score = result.score
    kept = node.metadata.get(RETRIEVAL_SCORE_KEY)
    if isinstance(kept, (int, float)) and RETRIEVAL_SCORE_KEY in node.excluded_llm_metadata_keys:
        score = kept
    if score is None or not math.isfinite(score):
        return {}
    return {RETRIEVAL_SCORE_KEY: float(score)}


def with_metadata(node: BaseNode, added: Mapping[str, Any]) -> BaseNode:
    """Return a copy of a node with metadata that neither an LLM nor an embedding model sees.

    The copy has its own metadata, excluded keys and relationships; everything else is shared. What an earlier
    reranking wrote about itself is replaced; without anything to add the node itself comes back, unless it is
    marked as not reranked, which is no longer true.
    """
    if not added and FALLBACK_KEY not in node.metadata:
        return node
    kept = {key: value for key, value in node.metadata.items() if key not in DETAIL_KEYS}
    return _copy_with(node, kept, added)


def fallen_back(
    results: Iterable[NodeWithScore], reason: FallbackReason, *, keep_retrieval_score: bool
) -> list[NodeWithScore]:
    """Return copies of nodes that were not reranked: all that they came with is kept, and the reason added."""
    copies = []
    for one in results:
        added = {**(retrieval_score_of(one) if keep_retrieval_score else {}), FALLBACK_KEY: reason}
        copies.append(one.model_copy(update={"node": _copy_with(one.node, one.node.metadata, added)}))
    return copies


def _copy_with(node: BaseNode, kept: Mapping[str, Any], added: Mapping[str, Any]) -> BaseNode:
    return node.model_copy(
        update={
            "metadata": {**kept, **added},
            "excluded_llm_metadata_keys": _joined(node.excluded_llm_metadata_keys, added),
            "excluded_embed_metadata_keys": _joined(node.excluded_embed_metadata_keys, added),
            "relationships": dict(node.relationships),
        }
    )


def _joined(keys: Iterable[str], more: Iterable[str]) -> list[str]:
    return list(dict.fromkeys([*keys, *more]))
