"""A family is its shared facts and a table of sizes; every size comes out as a complete spec."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rerank_plugins.catalog.families import EMBEDDERS, FAMILIES, RERANKERS
from rerank_plugins.catalog.family import Family, Size
from rerank_plugins.catalog.shapes import bert_shape
from rerank_plugins.catalog.spec import ModelSpec, Signature

SHARED = ModelSpec(
    id="them/embed-{size}",
    kind="embedder",
    family="them",
    scorer="transformer",
    default_max_length_tokens=128,
    max_length_tokens=512,
    license="MIT",
    languages=("en",),
    pooling="mean",
    sources={
        "license": "https://example.org/{id}",
        "revision": "https://example.org/{id}/tree/{revision}",
        "pooling": "https://example.org/code",
    },
    notes="Shared.",
)
COMMIT = "0123456789abcdef0123456789abcdef01234567"
SMALL = Size("small", COMMIT, layers=2, hidden=64)


def family(*sizes: Size, facts: ModelSpec = SHARED) -> Family:
    return Family(architecture="bert", vocabulary=1000, positions=512, facts=facts, sizes=sizes)


def test_a_size_is_one_line() -> None:
    (spec,) = family(SMALL).specs
    assert spec == replace(
        SHARED,
        id="them/embed-small",
        revision=COMMIT,
        dimensions=64,
        signature=Signature(
            model_type="bert", hidden_size=64, num_hidden_layers=2, vocab_size=1000, max_position_embeddings=512
        ),
        sources={
            "license": "https://example.org/them/embed-small",
            "revision": f"https://example.org/them/embed-small/tree/{COMMIT}",
            "pooling": "https://example.org/code",
        },
    )


def test_what_a_size_has_for_itself_stands_over_what_is_shared() -> None:
    shape = bert_shape(2, 64)
    (spec,) = family(
        Size(
            "odd",
            layers=2,
            hidden=64,
            vocabulary=7,
            inner=99,
            dimensions=32,
            tokens=256,
            license="Apache-2.0",
            half_precision="bfloat16",
            aliases=("them/old-name",),
            shape=shape,
            notes="Mine.",
            sources={"license": "https://example.org/mine"},
        )
    ).specs
    assert spec.signature == Signature(
        model_type="bert",
        hidden_size=64,
        num_hidden_layers=2,
        vocab_size=7,
        max_position_embeddings=512,
        intermediate_size=99,
    )
    assert (spec.dimensions, spec.default_max_length_tokens, spec.max_length_tokens) == (32, 256, 256)
    assert (spec.license, spec.half_precision, spec.aliases) == ("Apache-2.0", "bfloat16", ("them/old-name",))
    assert (spec.shape, spec.notes) == (shape, "Mine. Shared.")
    assert spec.sources["license"] == "https://example.org/mine"


def test_a_commit_that_is_not_known_has_no_source() -> None:
    (spec,) = family(Size("small", layers=2, hidden=64)).specs
    assert spec.revision is None
    assert "revision" not in spec.sources


@pytest.mark.parametrize("size", [Size("small"), Size("small", layers=2), Size("small", hidden=64)])
def test_without_layers_and_width_there_is_no_signature(size: Size) -> None:
    (spec,) = family(size).specs
    assert spec.signature is None


def test_rerankers_have_no_dimensions() -> None:
    facts = replace(SHARED, kind="reranker", scorer="cross-encoder")
    (spec,) = family(SMALL, facts=facts).specs
    assert spec.dimensions is None


def test_the_tables_are_the_sizes_of_all_families() -> None:
    assert sum(len(one.sizes) for one in FAMILIES) == len(RERANKERS) + len(EMBEDDERS)
    for kind, table in (("reranker", RERANKERS), ("embedder", EMBEDDERS)):
        assert table == tuple(spec for one in FAMILIES if one.facts.kind == kind for spec in one.specs)
