"""Equal, stored, copied, pickled, hashed: as LlamaIndex's other components, and with the model shared."""

from __future__ import annotations

import copy
import json
import pickle
import threading
from typing import Any

import llama_index.embeddings.rerank_plugins as embeddings
import llama_index.postprocessor.rerank_plugins as postprocessors
import pytest
from llama_index.core.callbacks import CallbackManager, LlamaDebugHandler
from llama_index.core.postprocessor import SimilarityPostprocessor
from llama_index.core.schema import MetadataMode, TextNode
from llama_index.embeddings.rerank_plugins import InstructionEmbedding
from llama_index.postprocessor.rerank_plugins import (
    BceRerankPostprocessor,
    BgeRerankPostprocessor,
    RerankPostprocessor,
)
from llama_index.retrievers.rerank_plugins import FirstStageRetriever, TwoStageRetriever

from rerank_plugins import Embedder, LongDocuments, Reranker
from rerank_plugins.calibration import fit_calibration

TEXTS = ["The giant panda eats bamboo.", "Paris is the capital of France.", "Net revenue grew in 2019."]
QUERY = "What does a panda eat?"
CALIBRATION = fit_calibration([0.0, 1.0, 2.0, 3.0, 4.0, 5.0], [False, False, True, False, True, True])
OPTIONS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "every kind of value": {
        "max_length": 64,
        "long_documents": LongDocuments(strategy="topkmean", top_k=2),
        "truncation": "only_second",
        "calibration": CALIBRATION,
        "top_n": None,
        "threshold": 0.25,
        "score_unit": "probability",
        "metadata_mode": MetadataMode.LLM,
        "keep_details": False,
        "deadline_s": 60.0,
        "max_wait_ms": 1.0,
    },
    "a strategy's name": {"long_documents": "maxp", "top_n": 2, "on_deadline": "raise"},
}


def stored_forms(one: Any) -> dict[str, Any]:
    """Every way in which LlamaIndex and pydantic store an object and make it again."""
    owner = type(one)
    return {
        "from_dict": owner.from_dict(one.to_dict()),
        "from_json": owner.from_json(one.to_json()),
        "dict": owner(**one.dict()),
        "model_dump": owner.model_validate(one.model_dump()),
        "model_dump_json": owner.model_validate_json(one.model_dump_json()),
        "json in between": owner.from_dict(json.loads(json.dumps(one.to_dict()))),
        "pickle": pickle.loads(pickle.dumps(one)),
    }


def copies(one: Any) -> dict[str, Any]:
    return {
        "copy": copy.copy(one),
        "deepcopy": copy.deepcopy(one),
        "model_copy": one.model_copy(),
        "deep model_copy": one.model_copy(deep=True),
        "with_settings": one.with_settings(),
        "in a list": copy.deepcopy([one, one])[1],
    }


@pytest.fixture(params=OPTIONS)
def options(request: pytest.FixtureRequest) -> dict[str, Any]:
    return OPTIONS[request.param]


@pytest.fixture(params=[RerankPostprocessor, BgeRerankPostprocessor, BceRerankPostprocessor])
def postprocessor(request: pytest.FixtureRequest, checkpoints, options) -> Any:
    return request.param(model=checkpoints / "bert-reranker", device="cpu", **options)


@pytest.fixture(params=[name for name in embeddings.__all__ if "Settings" not in name])
def embedding(request: pytest.FixtureRequest, checkpoints) -> Any:
    options = {"query_instruction": "ask:", "embed_batch_size": 7, "normalize": True, "max_length": 64}
    return getattr(embeddings, request.param)(model_name=checkpoints / "bert-embedder", device="cpu", **options)


def test_postprocessors_are_equal_to_what_is_made_of_them(postprocessor):
    for way, again in {**stored_forms(postprocessor), **copies(postprocessor)}.items():
        assert again == postprocessor, way
        assert postprocessor == again, way
        assert again is not postprocessor
        assert again.reranker._lease.value is postprocessor.reranker._lease.value
    for way, again in copies(postprocessor).items():
        assert again.callback_manager is postprocessor.callback_manager, way


def test_embeddings_are_equal_to_what_is_made_of_them(embedding):
    for way, again in {**stored_forms(embedding), **copies(embedding)}.items():
        assert again == embedding, way
        assert again is not embedding
        assert again.embedder._lease.value is embedding.embedder._lease.value
        assert again.get_query_embedding(QUERY) == embedding.get_query_embedding(QUERY)


def test_two_that_were_made_alike_are_equal(checkpoints):
    for owner in (RerankPostprocessor, BgeRerankPostprocessor):
        first, second = (owner(model=checkpoints / "bert-reranker", device="cpu") for _ in range(2))
        assert first == second
        assert not first != second  # noqa: SIM202
        second.callback_manager = CallbackManager([LlamaDebugHandler(print_trace_on_end=False)])
        assert first == second
    assert postprocessors.RerankPostprocessor.__hash__ is None


@pytest.mark.parametrize(
    ("name", "value"),
    [("top_n", 1), ("threshold", 0.5), ("score_unit", "probability"), ("keep_details", False), ("max_length", 16)],
)
def test_any_other_option_makes_a_difference(checkpoints, name, value):
    made = RerankPostprocessor(model=checkpoints / "bert-reranker", device="cpu")
    assert made != made.with_settings(**{name: value})
    assert made.with_settings(**{name: value}) == made.with_settings(**{name: value})


def test_other_classes_models_and_things_make_a_difference(checkpoints):
    made = RerankPostprocessor(model=checkpoints / "bert-reranker", device="cpu")
    assert made != BgeRerankPostprocessor(model=checkpoints / "bert-reranker", device="cpu", family=None)
    assert made != RerankPostprocessor(model=checkpoints / "xlmr-reranker", device="cpu")
    assert made != InstructionEmbedding(model_name=checkpoints / "bert-embedder", device="cpu")
    for thing in (None, 3, "x", made.to_dict(), SimilarityPostprocessor()):
        assert made != thing


def test_objects_around_a_given_model_are_equal_if_the_weights_are(checkpoints):
    folder = checkpoints / "bert-reranker"
    core = Reranker(folder, device="cpu")
    given = RerankPostprocessor.from_reranker(core)
    assert given == RerankPostprocessor.from_reranker(core)
    assert given == RerankPostprocessor.from_reranker(Reranker(folder, device="cpu"))
    assert given == RerankPostprocessor.from_dict(given.to_dict())
    assert given != RerankPostprocessor.from_reranker(core, top_n=1)
    sentence_transformers = pytest.importorskip("sentence_transformers")
    loaded = sentence_transformers.CrossEncoder(str(folder), device="cpu")
    adopted = RerankPostprocessor.from_reranker(Reranker.from_loaded(loaded))
    other = RerankPostprocessor.from_reranker(Reranker.from_loaded(loaded))
    assert adopted == copy.deepcopy(adopted)
    assert adopted != other
    core.close()
    assert given == copy.copy(given)


def test_hash_is_what_other_components_have(checkpoints):
    made = RerankPostprocessor(model=checkpoints / "bert-reranker", device="cpu")
    for one in (made, InstructionEmbedding(model_name=checkpoints / "bert-embedder", device="cpu")):
        with pytest.raises(TypeError, match="unhashable"):
            hash(one)
    with pytest.raises(TypeError, match="unhashable"):
        hash(SimilarityPostprocessor())


class Locked(LlamaDebugHandler):
    """A handler that no pickle can hold."""

    def __init__(self) -> None:
        super().__init__(print_trace_on_end=False)
        self.lock = threading.Lock()


def retrievers(checkpoints, retriever: Any, callbacks: CallbackManager) -> list[Any]:
    """Retrievers of this package over models that were named, with callbacks."""
    named = {"embedder": str(checkpoints / "bert-embedder")}
    reranker = RerankPostprocessor(model=checkpoints / "bert-reranker", device="cpu", callback_manager=callbacks)
    nodes = [TextNode(text=text) for text in TEXTS]
    first = FirstStageRetriever.from_documents(nodes, retriever=retriever, **named, callback_manager=callbacks)
    two = TwoStageRetriever.from_documents(
        nodes, retriever=retriever, **named, reranker=reranker, top_n=2, callback_manager=callbacks
    )
    return [first, two, TwoStageRetriever(first, reranker=reranker, callback_manager=callbacks)]


def found(retriever: Any) -> list[tuple[str, Any]]:
    return [(one.text, pytest.approx(one.get_score())) for one in retriever.retrieve(QUERY)]


def test_retrievers_are_copied_with_their_callbacks(checkpoints):
    callbacks = CallbackManager([Locked()])
    for one in retrievers(checkpoints, "bm25", callbacks):
        expected = found(one)
        for duplicate in (copy.copy, copy.deepcopy):
            again = duplicate(one)
            assert found(again) == expected
            assert again.callback_manager is callbacks
            if isinstance(one, TwoStageRetriever):
                assert again.reranker.reranker is one.reranker.reranker


def test_retrievers_are_pickled_without_their_callbacks(checkpoints):
    for one in retrievers(checkpoints, "bm25", CallbackManager([Locked()])):
        again = pickle.loads(pickle.dumps(one))
        assert found(again) == found(one)
        assert again.callback_manager.handlers == []


def test_a_deep_copy_has_nodes_of_its_own(checkpoints):
    nodes = [TextNode(text=text) for text in TEXTS]
    one = FirstStageRetriever.from_documents(nodes, retriever="bm25")
    again = copy.deepcopy(one)
    again.retrieve(QUERY)[0].node.metadata["mine"] = True
    assert not one.retrieve(QUERY)[0].node.metadata


def test_a_copy_with_other_settings_leaves_the_retriever_alone(checkpoints):
    core = Reranker(checkpoints / "bert-reranker", device="cpu")
    two = TwoStageRetriever.from_documents(TEXTS, retriever="bm25", reranker=core, top_n=None)
    (node,) = two.with_settings(top_n=1, score_unit="probability").retrieve(QUERY + " bamboo France")
    assert 0.0 <= node.get_score() <= 1.0
    assert len(two.retrieve(QUERY + " bamboo France")) > 1
    alone = TwoStageRetriever.from_documents(TEXTS, retriever="bm25", reranker=None, top_n=2)
    assert len(alone.with_settings(top_n=1).retrieve("panda France")) == 1
    with pytest.raises(ValueError, match="no reranker that score_unit"):
        alone.with_settings(score_unit="raw")
    for refused in ({"top_n": 0}, {"topn": 3}):
        for retriever in (two, alone):
            with pytest.raises(ValueError, match=next(iter(refused))):
                retriever.with_settings(**refused)


def test_a_deep_copy_of_an_embedding_shares_a_given_model(checkpoints):
    embedder = Embedder(checkpoints / "bert-embedder", device="cpu")
    assert copy.deepcopy(InstructionEmbedding.from_embedder(embedder)).embedder is embedder
