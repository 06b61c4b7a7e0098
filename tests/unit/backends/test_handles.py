"""Copies share the weights and live by themselves; pickles open the model again, or say why they cannot."""

from __future__ import annotations

import asyncio
import copy
import dataclasses
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_checkpoints

from rerank_plugins import (
    Embedder,
    EngineOptions,
    InstructionOptions,
    LongDocuments,
    QueryVectorCache,
    Reranker,
    ScoreCache,
    TwoStageRetriever,
    VectorOptions,
)
from rerank_plugins.calibration import fit_calibration
from rerank_plugins.catalog import known_models
from rerank_plugins.engine.registry import MODELS
from rerank_plugins.errors import EngineClosedError, NotPicklableError, RerankPluginsError
from rerank_plugins.retrieval import BM25Index, DenseIndex, HybridIndex

TEXTS = tiny_checkpoints.SENTENCES
PAIRS = [("What do pandas eat?", text) for text in TEXTS]
BY_ID = {"a": "Paris is the capital of France.", "b": "Berlin is in Germany.", "c": "Cats purr and sleep."}


def again(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))


COPIES = [copy.copy, copy.deepcopy, again, lambda value: copy.deepcopy({"in": [value]})["in"][0]]


@pytest.fixture
def reranker(tmp_path: Path) -> Iterator[Reranker]:
    folder = tiny_checkpoints.bert_reranker(tmp_path / "own")
    calibration = fit_calibration([2.0, 1.0, 0.5, 0.0], [1, 1, 0, 0])
    with Reranker(
        folder,
        device="cpu",
        max_length=40,
        calibration=calibration,
        engine=EngineOptions(max_batch_tokens=96),
        long_documents=LongDocuments(strategy="topkmean", top_k=2, query_max_length=12),
        cache=ScoreCache(7),
    ) as opened:
        yield opened


@pytest.fixture
def embedder(tmp_path: Path) -> Iterator[Embedder]:
    folder = tiny_checkpoints.bert_embedder(tmp_path / "own-embedder")
    with Embedder(
        folder,
        device="cpu",
        instruction=InstructionOptions(query="q: "),
        vectors=VectorOptions(dimensions=8),
        cache=QueryVectorCache(3),
    ) as opened:
        yield opened


@pytest.mark.parametrize("copied", COPIES)
def test_a_copied_reranker_is_the_same_on_the_same_weights(reranker: Reranker, copied: Callable[[Any], Any]) -> None:
    n_loaded = len(MODELS)
    other = copied(reranker)
    assert type(other) is Reranker
    assert other is not reranker
    assert len(MODELS) == n_loaded
    assert other._lease.value is reranker._lease.value
    for name in (
        "model",
        "spec",
        "device",
        "max_length",
        "query_max_length",
        "long_documents",
        "calibration",
        "engine",
    ):
        assert getattr(other, name) == getattr(reranker, name), name
    long = [("q", "pandas eat bamboo " * 60)]
    assert other.score(PAIRS + long) == pytest.approx(reranker.score(PAIRS + long), abs=1e-5)


@pytest.mark.parametrize("copied", COPIES)
def test_a_copied_embedder_is_the_same_on_the_same_weights(embedder: Embedder, copied: Callable[[Any], Any]) -> None:
    expected = embedder.embed_queries(TEXTS[:3])
    other = copied(embedder)
    assert other._lease.value is embedder._lease.value
    np.testing.assert_array_equal(other.embed_queries(TEXTS[:3]), expected)
    assert other.instruction == embedder.instruction
    # One cache may serve any number of embedders, and a copy's is the original's; a pickle begins with an empty one.
    assert (other.cache is embedder.cache) is (copied is not again)
    statistics = other.query_cache_statistics()
    assert (statistics.hits, statistics.misses, statistics.max_entries) == ((0, 3, 3) if copied is again else (3, 3, 3))


@pytest.mark.parametrize("copied", COPIES)
@pytest.mark.parametrize("first", ["original", "copy"])
def test_closing_one_leaves_the_other(
    reranker: Reranker, embedder: Embedder, copied: Callable[[Any], Any], first: str
) -> None:
    for one, call in (
        (reranker, lambda model: model.score(PAIRS)),
        (embedder, lambda model: model.embed_queries(TEXTS)),
    ):
        loaded = one._lease.value  # type: ignore[attr-defined]
        other = copied(one)
        closed, left = (one, other) if first == "original" else (other, one)
        closed.close()  # type: ignore[attr-defined]
        assert len(call(left)) == len(TEXTS)  # type: ignore[no-untyped-call]
        waiting = left.arank("q", TEXTS) if isinstance(left, Reranker) else left.aembed_queries(TEXTS)
        assert len(asyncio.run(waiting)) == len(TEXTS)
        with pytest.raises(EngineClosedError):
            call(closed)  # type: ignore[no-untyped-call]
        assert loaded in MODELS.loaded()
        left.close()
        assert loaded not in MODELS.loaded()


def test_a_closed_one_is_not_copied(reranker: Reranker) -> None:
    reranker.close()
    with pytest.raises(EngineClosedError, match="was closed"):
        copy.deepcopy(reranker)


def test_many_copies_at_once_are_all_counted(reranker: Reranker) -> None:
    loaded = reranker._lease.value
    copies: list[Reranker] = []
    threads = [
        threading.Thread(target=lambda: copies.extend(copy.deepcopy(reranker) for _ in range(50))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(copies) == 400
    for one in copies:
        one.close()
    assert loaded in MODELS.loaded()
    assert reranker.score(PAIRS[:1])
    reranker.close()
    assert loaded not in MODELS.loaded()


def test_what_another_library_loaded_is_copied_and_not_pickled(tmp_path: Path) -> None:
    sentence_transformers = pytest.importorskip("sentence_transformers")
    folder = tiny_checkpoints.bert_reranker(tmp_path / "theirs")
    reranker = Reranker.from_loaded(sentence_transformers.CrossEncoder(str(folder), device="cpu"))
    with copy.deepcopy(reranker) as other:
        expected = other.score(PAIRS)
    assert reranker.score(PAIRS) == expected
    with pytest.raises(NotPicklableError, match="another library loaded") as caught:
        pickle.dumps(reranker)
    assert isinstance(caught.value, (TypeError, RerankPluginsError))
    reranker.close()


@pytest.mark.slow
def test_another_process_opens_it_again(reranker: Reranker, embedder: Embedder, tmp_path: Path) -> None:
    retriever = TwoStageRetriever.from_documents(BY_ID, embedder="mini", reranker="mini", top_k=2)
    file = tmp_path / "pickled"
    file.write_bytes(pickle.dumps((reranker, embedder, retriever)))
    code = (
        "import pathlib, pickle, sys\n"
        "reranker, embedder, retriever = pickle.loads(pathlib.Path(sys.argv[1]).read_bytes())\n"
        "print(reranker.score([('q', 'pandas')]))\n"
        "print(embedder.embed_queries(['pandas']).tolist())\n"
        "print([one.id for one in retriever.search('capital of France')])\n"
    )
    run = subprocess.run([sys.executable, "-c", code, str(file)], capture_output=True, text=True, check=True)
    expected = [
        reranker.score([("q", "pandas")]),
        embedder.embed_queries(["pandas"]).tolist(),
        [one.id for one in retriever.search("capital of France")],
    ]
    assert run.stdout.splitlines() == [str(one) for one in expected]
    retriever.close()


@pytest.mark.parametrize("retriever", ["bm25", "dense", "hybrid"])
@pytest.mark.parametrize("copied", COPIES)
def test_retrievers_and_first_stages(retriever: Any, copied: Callable[[Any], Any]) -> None:
    original = TwoStageRetriever.from_documents(
        BY_ID, retriever=retriever, embedder="mini", reranker="mini", top_k=2, threshold=0.0
    )
    expected = original.search("capital of France")
    other = copied(original)
    stage = copied(original.first_stage)
    original.close()
    assert other.search("capital of France") == expected
    assert asyncio.run(other.asearch("capital of France")) == expected
    other.close()
    if retriever != "bm25":
        with pytest.raises(EngineClosedError):
            other.search("capital of France")
    if copied is not copy.copy:  # A shallow copy of an index has the embedder in common.
        assert list(stage.search("capital of France", top_k=1)) == ["a"]


@pytest.mark.parametrize("faiss_index", [None, "Flat", "HNSW8"])
def test_indexes_of_a_copy_are_its_own(faiss_index: str | None) -> None:
    with Embedder("mini", device="cpu") as embedder:
        dense = DenseIndex(BY_ID, embedder, faiss_index=faiss_index)
        for index in (dense, BM25Index(BY_ID), HybridIndex([dense, BM25Index(BY_ID)])):
            for copied in (copy.deepcopy(index), again(index)):
                assert copied.search("capital of France", top_k=2) == index.search("capital of France", top_k=2)


def test_what_is_known_of_every_model_is_copied_pickled_and_read_only() -> None:
    for spec in known_models().values():
        assert copy.deepcopy(spec) == spec
        assert again(spec) == spec
        assert dataclasses.asdict(spec)["sources"] == spec.sources
        with pytest.raises(TypeError):
            spec.instructions["x"] = 1  # type: ignore[index]
