"""In which of this repository's tests a model's scores or vectors are compared with its ``reference``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from rerank_plugins.catalog.spec import ModelKind, ModelSpec

__all__ = ["PARITY_TESTS", "Parity", "parity_of"]


@dataclass(frozen=True, slots=True)
class Parity:
    """A comparison with a reference.

    Attributes:
        reference: Whose numbers ours must equal. With a version: goldens of that release, or that release itself;
            without one: the installed release, on the same weights in the same process.
        test: File of the test, from the root of the repository.
    """

    reference: str
    test: str


_GOLDENS = "tests/parity/test_goldens.py"
_LLM_GOLDENS = "tests/parity/test_llm_goldens.py"
_LIVE = "tests/parity/test_live_peers.py"
_RERANKERS = "tests/parity/test_rerankers.py"
_EMBEDDERS = "tests/parity/test_embedder_peers.py"
_MINI = "tests/conformance/test_mini.py"
_NEWER_EMBEDDERS = ("FlagEmbedding 1.4.2", "transformers")
"""References of the members of a family that run on another architecture than the rest of it."""
_LLM_SCORERS = ("decoder", "layerwise", "lightweight")

PARITY_TESTS: Mapping[tuple[ModelKind, str], str] = MappingProxyType(
    {
        **{("reranker", family): _GOLDENS for family in ("bge", "bce")},
        **{("reranker", family): _LIVE for family in ("ms-marco", "luyu")},
        **{
            ("reranker", family): _RERANKERS
            for family in ("qwen3", "mxbai-v1", "mxbai-v2", "monot5", "tart", "gte", "jina-v2")
        },
        **{
            ("embedder", family): _GOLDENS
            for family in ("bge", "bce", "llm-embedder", "peg", "gte", "piccolo", "stella", "m3e", "e5", "tao")
        },
        **{("embedder", family): _EMBEDDERS for family in ("qwen", "instructor", "tart")},
        ("reranker", "mini"): _MINI,
        ("embedder", "mini"): _MINI,
    }
)
"""By kind and family. A family that is missing was not compared with anything of its own."""


def parity_of(spec: ModelSpec) -> Parity | None:
    """Return what a model's numbers are compared with; None for a model of another package or an unknown family."""
    test = PARITY_TESTS.get((spec.kind, spec.family))
    if test is None or not spec.reference:
        return None
    if spec.kind == "reranker" and spec.family == "bge" and spec.scorer in _LLM_SCORERS:
        test = _LLM_GOLDENS
    if spec.kind == "embedder" and spec.reference in _NEWER_EMBEDDERS:
        test = _EMBEDDERS
    return Parity(spec.reference, test)
