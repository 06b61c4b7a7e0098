"""What is known about each model, as data with sources; and how a name becomes a model."""

from __future__ import annotations

from rerank_plugins.catalog.family import Family, Size
from rerank_plugins.catalog.shapes import Shape
from rerank_plugins.catalog.spec import Instruction, ModelKind, ModelSpec, Pooling, Signature
from rerank_plugins.catalog.table import find_by_name, known_models, specs_of_kind

__all__ = [
    "Family",
    "Instruction",
    "ModelKind",
    "ModelSpec",
    "Pooling",
    "Shape",
    "Signature",
    "Size",
    "find_by_name",
    "known_models",
    "specs_of_kind",
]
