"""Options: checked when given and when assigned, dumped, copied, pickled."""

from __future__ import annotations

import copy
import inspect
import json
import pickle
from dataclasses import fields
from typing import Any

import pytest
from langchain_rerank_plugins import (
    BceRerankCompressor,
    BgeEmbeddings,
    BgeRerankCompressor,
    InstructionEmbeddings,
    RerankCompressor,
    RerankCrossEncoder,
)
from pydantic import ValidationError

from rerank_plugins import Embedder, EngineOptions, LongDocuments, Reranker
from rerank_plugins.adapters.options import ModelOptions
from rerank_plugins.calls.flat_options import RERANKER_OPTIONS
from rerank_plugins.errors import InvalidInputError

CLASSES = [
    (BgeRerankCompressor, "bert-reranker", {"top_n": 3, "threshold": 0.1}),
    (BceRerankCompressor, "xlmr-reranker", {"long_documents": LongDocuments(strategy="topkmean", top_k=2)}),
    (RerankCrossEncoder, "bert-reranker", {"score_unit": "probability"}),
    (BgeEmbeddings, "bert-embedder", {"query_instruction": "query: ", "max_length": 32}),
]


@pytest.fixture(params=CLASSES, ids=lambda one: one[0].__name__)
def made(request: pytest.FixtureRequest, langchain_models: dict[str, str]) -> ModelOptions:
    owner, model, options = request.param
    adapter: ModelOptions = owner(model=langchain_models[model], device="cpu", **options)
    return adapter


@pytest.fixture
def folder(langchain_models: dict[str, str]) -> str:
    return langchain_models["bert-reranker"]


def test_dump_reconstructs(made: ModelOptions) -> None:
    assert type(made)(**made.model_dump()) == made
    assert type(made).model_validate_json(made.model_dump_json()) == made


def test_pickle_opens_the_model_again(made: ModelOptions) -> None:
    again = pickle.loads(pickle.dumps(made))
    assert again == made
    assert again._core is not made._core


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy])
def test_copies_share_the_model(made: ModelOptions, duplicate: Any) -> None:
    again = duplicate(made)
    assert again == made
    assert again is not made
    assert again._core is made._core


def test_schema_describes_every_option(made: ModelOptions) -> None:
    properties = json.loads(json.dumps(type(made).model_json_schema()))["properties"]
    assert all(one.get("description") for one in properties.values())


def test_unknown_option_is_named_with_the_options(folder: str) -> None:
    with pytest.raises(ValidationError, match=r"no option 'topn'. Did you mean 'top_n'\? Its options: .*threshold"):
        BgeRerankCompressor(model=folder, topn=3)  # type: ignore[call-arg]


def test_unknown_option_is_found_before_the_model_is_loaded() -> None:
    with pytest.raises(ValidationError, match="passage_max_length"):
        BgeRerankCompressor(passage_max_length=3)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"top_n": 0}, "top_n\n.*greater than or equal to 1"),
        ({"top_n": True}, "top_n\n.*valid integer"),
        ({"top_n": "three"}, "top_n\n.*valid integer"),
        ({"threshold": 3}, "threshold_unit='raw'"),
        ({"threshold": float("nan")}, "threshold\n.*finite number"),
        ({"threshold": 0.5, "threshold_unit": "percent"}, "threshold_unit"),
        ({"score_unit": "logit"}, "score_unit"),
        ({"max_length": 0}, "max_length\n.*greater than or equal to 1"),
        ({"max_length": True}, "max_length"),
        ({"max_length": 10_000}, "its positions end at 64"),
        ({"query_max_length": -1}, "query_max_length\n.*greater than or equal to 1"),
        ({"long_documents": "best"}, "'truncate', 'maxp', 'firstp'"),
        ({"truncation": "both"}, "truncation"),
        ({"dtype": "float8"}, "dtype"),
    ],
)
def test_impossible_values_are_refused(folder: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RerankCompressor(model=folder, device="cpu", **options)


def test_assignment_is_checked(folder: str) -> None:
    compressor = BgeRerankCompressor(model=folder, device="cpu", top_n=3)
    compressor.top_n = 2
    with pytest.raises(ValidationError, match="greater than or equal to 1"):
        compressor.top_n = 0
    with pytest.raises(ValidationError, match="no option 'topn'"):
        compressor.topn = 4  # type: ignore[attr-defined]
    assert compressor.top_n == 2


def test_model_options_are_frozen(folder: str) -> None:
    compressor = BgeRerankCompressor(model=folder, device="cpu")
    for name in ("model", "max_length", "long_documents", "device"):
        with pytest.raises(ValidationError, match="frozen"):
            setattr(compressor, name, None)


def test_model_copy_checks_and_opens_again_only_if_needed(folder: str) -> None:
    compressor = BgeRerankCompressor(model=folder, device="cpu")
    assert compressor.model_copy(update={"top_n": 2}).reranker is compressor.reranker
    assert compressor.model_copy(update={"max_length": 32}).reranker.max_length == 32
    with pytest.raises(ValidationError, match="no option"):
        compressor.model_copy(update={"topn": 2})


def test_adopted_model_is_shared_and_not_changed(langchain_models: dict[str, str]) -> None:
    reranker = Reranker(langchain_models["bert-reranker"], device="cpu")
    compressor = RerankCompressor.from_reranker(reranker)
    embeddings = InstructionEmbeddings.from_embedder(Embedder(langchain_models["bert-embedder"], device="cpu"))
    for adopted in (compressor, embeddings):
        assert copy.deepcopy(adopted) == adopted
    with pytest.raises(InvalidInputError, match="did not open"):
        compressor.model_copy(update={"max_length": 32})
    assert compressor.model_copy(update={"top_n": 1}).reranker is reranker


def test_what_another_library_loaded_is_not_pickled(folder: str) -> None:
    sentence_transformers = pytest.importorskip("sentence_transformers")
    loaded = sentence_transformers.CrossEncoder(folder, device="cpu")
    compressor = RerankCompressor.from_reranker(Reranker.from_loaded(loaded))
    with pytest.raises(TypeError, match=r"cannot pickle .*Create one"):
        pickle.dumps(compressor)
    assert copy.deepcopy(compressor).reranker is compressor.reranker


def test_equality_needs_class_and_options(folder: str) -> None:
    one = BgeRerankCompressor(model=folder, device="cpu")
    assert one != BgeRerankCompressor(model=folder, device="cpu", top_n=1)
    assert one != RerankCompressor(model=folder, device="cpu", family="bge")
    assert one != RerankCompressor.from_reranker(one.reranker)


def test_engine_options_reach_the_core(folder: str) -> None:
    options: dict[str, Any] = {"max_waiting_tokens": 9000, "max_wait_ms": 2.0, "max_batch_tokens": 512}
    compressor = RerankCompressor(model=folder, device="cpu", deadline_s=5, **options)
    assert compressor.reranker.engine == EngineOptions(**options)
    adopted = RerankCompressor.from_reranker(Reranker(folder, device="cpu", engine=EngineOptions(deadline_s=4)))
    assert (adopted.deadline_s, adopted.max_waiting_tokens) == (4, None)
    with pytest.raises(InvalidInputError, match="max_wait_ms cannot be set here"):
        RerankCompressor.from_reranker(compressor.reranker, max_wait_ms=1.0)  # type: ignore[call-arg]
    assert {field.name for field in fields(EngineOptions)} <= set(RerankCompressor.model_fields)


def test_every_core_option_is_exposed() -> None:
    # What is in a group there is a field of its own here; a backend is passed inside a reranker, to from_reranker.
    core = set(inspect.signature(Reranker).parameters) - {"engine", "backend", "cache", "source"} | set(
        RERANKER_OPTIONS
    )
    for owner in (RerankCompressor, BgeRerankCompressor, BceRerankCompressor, RerankCrossEncoder):
        assert core <= set(owner.model_fields)


def test_objects_share_weights_with_the_core(folder: str) -> None:
    weights = [
        BgeRerankCompressor(model=folder, device="cpu").reranker,
        RerankCrossEncoder(model=folder, device="cpu").reranker,
        Reranker(folder, device="cpu"),
    ]
    assert len({id(one._lease.value) for one in weights}) == 1
