"""From scored documents back to nodes: new objects, the caller's own are left as they were.

What is known about a result is written to the metadata of a copy of its node and kept out of the text
that an LLM or an embedding model sees.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from llama_index.core.schema import BaseNode, MetadataMode, NodeWithScore

from rerank_plugins.adapters.containers import own_containers
from rerank_plugins.adapters.metadata import (
    DETAIL_KEYS,
    FALLBACK_KEY,
    RANK_KEY,
    RETRIEVAL_RANK_KEY,
    RETRIEVAL_SCORE_KEY,
)

__all__ = ["marked_copy", "scored_copy", "scored_text", "with_metadata"]

_OWN_KEYS = frozenset((RETRIEVAL_SCORE_KEY, RETRIEVAL_RANK_KEY, *DETAIL_KEYS))


def scored_text(node: BaseNode, mode: MetadataMode) -> str:
    """Return the text of a node that is scored; what an earlier reranking wrote is never part of it."""
    if _OWN_KEYS & node.metadata.keys():
        own = {key: value for key, value in node.metadata.items() if key not in _OWN_KEYS}
        node = node.model_copy(update={"metadata": own})
    return node.get_content(metadata_mode=mode)


def scored_copy(result: NodeWithScore, score: float, details: Mapping[str, Any], *, keep_score: bool) -> NodeWithScore:
    """Return a copy of a result with its new score and, in its node, ``details`` for those of an earlier reranking.

    Without anything to add it has the very same node, unless that is marked as not reranked, which is no longer true.
    """
    node, added = result.node, {**_retrieval_score(result, is_kept=keep_score), **details}
    if added or FALLBACK_KEY in node.metadata:
        kept = {key: value for key, value in node.metadata.items() if key not in DETAIL_KEYS}
        node = with_metadata(node.model_copy(update={"metadata": kept}), added)
    return result.model_copy(update={"node": node, "score": score})


def marked_copy(result: NodeWithScore, marks: Mapping[str, str], *, keep_score: bool) -> NodeWithScore:
    """Return a copy of a result that was not reranked: all that it came with is kept, and the marks added."""
    node = with_metadata(result.node, {**_retrieval_score(result, is_kept=keep_score), **marks})
    return result.model_copy(update={"node": node})


def with_metadata(node: BaseNode, added: Mapping[str, Any]) -> BaseNode:
    """Return a copy of a node with more metadata, which neither an LLM nor an embedding model sees.

    The copy has its own metadata at any depth, excluded keys and relationships; everything else is shared.
    """
    return node.model_copy(
        update={
            "metadata": {**own_containers(node.metadata), **added},
            "excluded_llm_metadata_keys": _joined(node.excluded_llm_metadata_keys, added),
            "excluded_embed_metadata_keys": _joined(node.excluded_embed_metadata_keys, added),
            "relationships": dict(node.relationships),
        }
    )


def _retrieval_score(result: NodeWithScore, *, is_kept: bool) -> dict[str, float]:
    """Return the score that a node was retrieved with: after an earlier reranking, the one which that kept."""
    node, score = result.node, result.score
    kept = node.metadata.get(RETRIEVAL_SCORE_KEY)
    if isinstance(kept, (int, float)) and RETRIEVAL_SCORE_KEY in node.excluded_llm_metadata_keys:
        score = kept
    elif RANK_KEY in node.metadata and RANK_KEY in node.excluded_llm_metadata_keys:
        score = None  # Its score is that of an earlier reranking; it was retrieved without one.
    return {RETRIEVAL_SCORE_KEY: float(score)} if is_kept and score is not None and math.isfinite(score) else {}


def _joined(keys: Iterable[str], more: Iterable[str]) -> list[str]:
    return list(dict.fromkeys([*keys, *more]))
