"""How an embedder is used: what its family has in common, then what the checkpoint's own files say."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from rerank_plugins.catalog.checkpoint import CheckpointFiles
from rerank_plugins.catalog.spec import Instruction, ModelSpec
from rerank_plugins.catalog.table import specs_of_kind

__all__ = ["as_family_member", "embedder_with_own_files", "family_members"]

logger = logging.getLogger(__name__)

_SHARED = (
    "pooling",
    "normalize",
    "instructions",
    "task_template",
    "query_suffix",
    "example_template",
    "ends_in",
    "pools_instruction",
    "half_precision",
    "matryoshka_from",
)


def family_members(family: str | None, model_type: str) -> list[ModelSpec]:
    """Return the listed embedders of a family with one architecture."""
    specs = specs_of_kind("embedder")
    return [one for one in specs if one.family == family and one.signature and one.signature.model_type == model_type]


def as_family_member(spec: ModelSpec, members: Sequence[ModelSpec]) -> ModelSpec:
    """Return an inferred spec with every convention on which all members agree.

    Where they take different instructions (Chinese and English BGE models do), none is chosen and a warning says so.
    """
    agreed: dict[str, Any] = {}
    for name in _SHARED:
        values = [getattr(one, name) for one in members]
        if values and all(value == values[0] for value in values):
            agreed[name] = values[0]
    if members and "instructions" not in agreed:
        logger.warning(
            "models of the family %r take different instructions, and none of them is %s: pass query_instruction",
            spec.family,
            spec.id,
        )
    longest = min((one.default_max_length_tokens for one in members), default=spec.default_max_length_tokens)
    return replace(spec, default_max_length_tokens=min(longest, spec.max_length_tokens), **agreed)


def embedder_with_own_files(spec: ModelSpec, files: CheckpointFiles) -> ModelSpec:
    """Return an embedder's spec with what the checkpoint's own files say put over it."""
    # model2vec keeps its own in config.json.
    own_length = files.sentence_bert.get("max_seq_length") or (
        files.config.get("max_length") if spec.scorer == "static" else None
    )
    limit = spec.max_length_tokens if spec.scorer == "static" else min(spec.max_length_tokens, files.max_length_tokens)
    default = int(own_length) if own_length else spec.default_max_length_tokens
    query, document = files.prompt("query"), files.prompt("document") or files.prompt("passage")
    instructions = spec.instructions
    if (query or document) and not instructions:
        instructions = MappingProxyType({"retrieval": Instruction(query or "", document or "")})
    elif query is not None and "retrieval" in instructions:
        own = Instruction(query, document if document is not None else instructions["retrieval"].document)
        instructions = MappingProxyType({**instructions, "retrieval": own})
    is_transformer = spec.scorer in ("transformer", "multi-vector")
    return replace(
        spec,
        scorer="multi-vector" if spec.scorer == "transformer" and files.has_multi_vector_heads else spec.scorer,
        pooling=files.pooling or spec.pooling,
        # A True may only be what sentence-transformers writes by default, so the catalog's False stands.
        pools_instruction=spec.pools_instruction and files.pools_instruction is not False,
        normalize="Normalize" in files.modules if files.modules else spec.normalize,
        dimensions=files.vector_size or spec.dimensions,
        ends_in=spec.ends_in or (files.ends_in if is_transformer else ""),
        max_length_tokens=limit,
        default_max_length_tokens=min(default, limit),
        instructions=instructions,
    )
