"""Both frameworks' embeddings on embedders with instructions: their suites, and every option reaching the core."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import embedder_checkpoints
import numpy as np
import pytest

from rerank_plugins import Embedder, QueryExample
from rerank_plugins.calls.flat_options import EMBEDDER_OPTIONS
from rerank_plugins.checks.moved import regrouped

pytest.importorskip("langchain_tests")

from langchain_rerank_plugins import InstructionEmbeddings
from langchain_tests.integration_tests import EmbeddingsIntegrationTests
from langchain_tests.unit_tests import EmbeddingsUnitTests
from llama_index.embeddings.rerank_plugins import InstructionEmbedding
from rerank_plugins_testing.llamaindex import EmbeddingConformance

EXAMPLES = (
    QueryExample(query="who eats bamboo", response="Pandas do."),
    QueryExample(query="q", response="r", task="t"),
)
KINDS: dict[str, dict[str, Any]] = {
    "bge-en-icl": {"family": "bge", "examples": EXAMPLES, "dimensions": 8, "query_cache_entries": 4},
    "e5-mistral-7b-instruct": {"family": "e5", "task": "Given a claim, find proof", "query_cache_entries": 64},
    "instructor-base": {"family": "instructor", "task": "wikipedia", "dimensions": 16},
    "bge-m3": {"family": "bge"},
}


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("adapted")
    return {name: embedder_checkpoints.BUILDERS[name](root / name) for name in KINDS}


@pytest.fixture(params=list(KINDS))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class _LangChain:
    """Gives langchain-tests the class and its options."""

    @pytest.fixture(autouse=True)
    def _take(self, built: dict[str, Path], kind: str) -> None:
        self.options = {"model": built[kind], "device": "cpu", **KINDS[kind]}

    @property
    def embeddings_class(self) -> type[InstructionEmbeddings]:
        return InstructionEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return self.options


class TestLangChainUnit(_LangChain, EmbeddingsUnitTests):
    pass


class TestLangChainIntegration(_LangChain, EmbeddingsIntegrationTests):
    pass


class TestLlamaIndex(EmbeddingConformance):
    @pytest.fixture
    def make(self, built: dict[str, Path], kind: str) -> Callable[..., InstructionEmbedding]:
        options = {name: value for name, value in KINDS[kind].items() if name != "task"}
        if kind == "bge-en-icl":
            # The suite replaces the instruction, and an example without task of its own needs it.
            options["examples"] = EXAMPLES[1:]
        return partial(InstructionEmbedding, model_name=built[kind], device="cpu", **options)


def test_vectors_are_the_cores_own(built: dict[str, Path], kind: str) -> None:
    core = Embedder(built[kind], device="cpu", **regrouped(KINDS[kind], EMBEDDER_OPTIONS))
    query, text = "What do pandas eat?\nAnd when?", "Bamboo.\nAll day."
    expected = (core.embed_queries([query])[0], core.embed_documents([text])[0])
    chain = InstructionEmbeddings(model=built[kind], device="cpu", **KINDS[kind])
    index = InstructionEmbedding(model_name=built[kind], device="cpu", **KINDS[kind])
    assert np.allclose(chain.embed_query(query), expected[0], atol=1e-5)
    assert np.allclose(index.get_query_embedding(query), expected[0], atol=1e-5)
    assert np.allclose(chain.embed_documents([text])[0], expected[1], atol=1e-5)
    assert np.allclose(index.get_text_embedding(text), expected[1], atol=1e-5)
    assert len(chain.embed_query(query)) == core.dimensions


def test_options_survive_every_form(built: dict[str, Path], kind: str) -> None:
    chain = InstructionEmbeddings(model=built[kind], device="cpu", **KINDS[kind])
    assert InstructionEmbeddings(**chain.model_dump()) == chain
    assert InstructionEmbeddings.model_validate_json(chain.model_dump_json()) == chain
    assert pickle.loads(pickle.dumps(chain)) == chain
    index = InstructionEmbedding(model_name=built[kind], device="cpu", **KINDS[kind])
    for again in (
        InstructionEmbedding.from_dict(index.to_dict()),
        InstructionEmbedding.from_json(json.dumps(json.loads(index.to_json()))),
        pickle.loads(pickle.dumps(index)),
    ):
        assert again.to_dict() == index.to_dict()
        assert again.embedder.examples == index.embedder.examples == KINDS[kind].get("examples", ())


def test_queries_are_cached_through_both(built: dict[str, Path]) -> None:
    folder = built["e5-mistral-7b-instruct"]
    for made, ask in (
        (one := InstructionEmbeddings(model=folder, device="cpu", query_cache_entries=2), one.embed_query),
        (
            other := InstructionEmbedding(model_name=folder, device="cpu", query_cache_entries=2),
            other.get_query_embedding,
        ),
    ):
        assert ask("a panda") == ask("a panda")
        told = made.embedder.query_cache_statistics()
        assert told is not None
        assert (told.hits, told.misses) == (1, 1)


def test_a_core_embedder_brings_its_options(built: dict[str, Path]) -> None:
    core = Embedder(built["bge-en-icl"], device="cpu", **regrouped(KINDS["bge-en-icl"], EMBEDDER_OPTIONS))
    for made in (InstructionEmbeddings.from_embedder(core), InstructionEmbedding.from_embedder(core)):
        assert made.embedder is core
        assert (made.examples, made.dimensions, made.query_cache_entries) == (EXAMPLES, 8, 4)


@pytest.mark.parametrize(
    "wrong", [{"dimensions": 0}, {"dimensions": 99}, {"query_cache_entries": 0}, {"examples": [1]}]
)
def test_options_that_cannot_be(built: dict[str, Path], wrong: dict[str, Any]) -> None:
    options = {**KINDS["bge-en-icl"], **wrong}
    with pytest.raises(ValueError, match=next(iter(wrong))):
        InstructionEmbeddings(model=built["bge-en-icl"], device="cpu", **options)
    with pytest.raises(ValueError, match=next(iter(wrong))):
        InstructionEmbedding(model_name=built["bge-en-icl"], device="cpu", **options)
