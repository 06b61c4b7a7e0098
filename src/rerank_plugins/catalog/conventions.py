"""What a family has in common, for checkpoints that are none of those listed: other sizes, fine-tuned ones."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from rerank_plugins.catalog.spec import ModelSpec
from rerank_plugins.catalog.table import specs_of_kind

__all__ = ["as_family_member", "family_members"]

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
