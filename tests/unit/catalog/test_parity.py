"""Every bundled model says what its numbers are compared with, and the comparison is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from rerank_plugins.catalog.embedders import EMBEDDERS
from rerank_plugins.catalog.parity import parity_of
from rerank_plugins.catalog.rerankers import RERANKERS
from rerank_plugins.catalog.spec import ModelSpec

ROOT = Path(__file__).parents[3]
BUNDLED = (*RERANKERS, *EMBEDDERS)
# Only shrinks: the code of these architectures comes from the hub with the checkpoint and is not run here.
NOT_COMPARED = {"jina-v1"}


@pytest.mark.parametrize("spec", BUNDLED, ids=lambda spec: f"{spec.kind}-{spec.id}")
def test_every_model_has_a_parity_test(spec: ModelSpec) -> None:
    parity = parity_of(spec)
    if spec.family in NOT_COMPARED:
        assert parity is None
        return
    assert parity is not None, f"add {spec.kind} family {spec.family!r} to PARITY_TESTS, with the test that compares it"
    assert parity.reference
    source = (ROOT / parity.test).read_text(encoding="utf-8")
    assert "TOLERANCE = 1e-4" in source or "1e-4" in source


def test_llm_rerankers_have_goldens_of_their_own() -> None:
    tests = {spec.scorer: parity_of(spec) for spec in RERANKERS if spec.family == "bge"}
    assert {scorer for scorer, parity in tests.items() if parity and "llm" in parity.test} == {
        "decoder",
        "layerwise",
        "lightweight",
    }


def test_versions_are_those_of_the_goldens() -> None:
    versions = (ROOT / "tests/parity/goldens/embeddings.json").read_text(encoding="utf-8")
    for parity in filter(None, map(parity_of, BUNDLED)):
        if "golden" not in parity.test:
            continue
        for library in ("FlagEmbedding", "BCEmbedding"):
            if library in parity.reference:
                version = parity.reference.split(f"{library} ", 1)[1].split(",")[0]
                assert f'"{library}": "{version}"' in versions
