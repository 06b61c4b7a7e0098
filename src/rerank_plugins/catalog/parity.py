"""What the scores and vectors of each family are compared with in this repository's tests, and in which of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from rerank_plugins.catalog.spec import ModelKind, ModelSpec

__all__ = ["PARITY", "Parity", "parity_of"]


@dataclass(frozen=True, slots=True)
class Parity:
    """A comparison with a reference.

    Attributes:
        reference: Whose numbers ours must equal. With a version: committed goldens of that release; without one: the
            installed release, on the same weights in the same process.
        test: File of the test, from the root of the repository.
    """

    reference: str
    test: str


_FLAG = "FlagEmbedding 1.3.5"
_FLAG_VECTORS = Parity(f"{_FLAG}, sentence-transformers", "tests/parity/test_goldens.py")
_BERT = Parity("transformers, sentence-transformers", "tests/parity/test_live_peers.py")
_MINI = "tests/conformance/test_mini.py"
_RERANKERS = "tests/parity/test_rerankers.py"
_EMBEDDERS = "tests/parity/test_embedder_peers.py"

PARITY: Mapping[tuple[ModelKind, str], Parity] = MappingProxyType(
    {
        ("reranker", "bge"): Parity(_FLAG, "tests/parity/test_goldens.py"),
        ("reranker", "bce"): Parity("BCEmbedding 0.1.5", "tests/parity/test_goldens.py"),
        ("reranker", "mini"): Parity("its training code", _MINI),
        ("reranker", "qwen3"): Parity("transformers, sentence-transformers", _RERANKERS),
        ("reranker", "mxbai-v2"): Parity("its own code on transformers", _RERANKERS),
        ("reranker", "monot5"): Parity("transformers", _RERANKERS),
        ("reranker", "tart"): Parity("its own code on transformers", _RERANKERS),
        **{("reranker", family): Parity("transformers", _RERANKERS) for family in ("mxbai-v1", "gte", "jina-v2")},
        **{("reranker", family): _BERT for family in ("ms-marco", "luyu")},
        **{
            ("embedder", family): _FLAG_VECTORS
            for family in ("bge", "llm-embedder", "peg", "gte", "piccolo", "stella", "m3e", "e5", "tao")
        },
        ("embedder", "bce"): Parity("BCEmbedding 0.1.5", "tests/parity/test_goldens.py"),
        ("embedder", "mini"): Parity("model2vec", _MINI),
        ("embedder", "qwen"): Parity("sentence-transformers", _EMBEDDERS),
        ("embedder", "instructor"): Parity("sentence-transformers, its own code", _EMBEDDERS),
        ("embedder", "tart"): Parity("its own code", _EMBEDDERS),
    }
)
"""By kind and family. A family that is missing was not compared with anything of its own."""

_LLM = Parity(_FLAG, "tests/parity/test_llm_goldens.py")
_BY_SCORER = MappingProxyType(dict.fromkeys(("decoder", "layerwise", "lightweight"), _LLM))


def parity_of(spec: ModelSpec) -> Parity | None:
    """Return what a model's numbers are compared with; None for a model of another package or an unknown family."""
    if (spec.kind, spec.family) == ("reranker", "bge"):
        return _BY_SCORER.get(spec.scorer, PARITY["reranker", "bge"])
    return PARITY.get((spec.kind, spec.family))
