"""Adapters and retrievers of both frameworks: copied with the model shared, pickled if their core object can be."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import pytest
import tiny_checkpoints
from safetensors.torch import load_file, save_file

pytest.importorskip("llama_index.core")
pytest.importorskip("langchain_core")

import langchain_rerank_plugins as lc
from llama_index.core.callbacks import CallbackManager, LlamaDebugHandler
from llama_index.embeddings.rerank_plugins import InstructionEmbedding
from llama_index.postprocessor.rerank_plugins import RerankPostprocessor
from llama_index.retrievers.rerank_plugins import FirstStageRetriever, TwoStageRetriever

from rerank_plugins import Embedder, Reranker, SourceOptions

QUERY = "What do pandas eat?"
TEXTS = tiny_checkpoints.SENTENCES[:4]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("copies")
    return tiny_checkpoints.bert_embedder(root / "embedder"), tiny_checkpoints.bert_reranker(root / "reranker")


@pytest.fixture
def cores(folders: tuple[Path, Path]) -> tuple[Embedder, Reranker]:
    return Embedder(folders[0], device="cpu"), Reranker(folders[1], device="cpu")


def adapters(cores: tuple[Embedder, Reranker]) -> list[Any]:
    embedder, reranker = cores
    return [
        lc.RerankCompressor.from_reranker(reranker, top_n=2),
        lc.RerankCrossEncoder.from_reranker(reranker, score_unit="probability"),
        lc.InstructionEmbeddings.from_embedder(embedder),
        RerankPostprocessor.from_reranker(reranker, top_n=2),
        InstructionEmbedding.from_embedder(embedder, embed_batch_size=3),
    ]


def weights_of(adapter: Any) -> Any:
    core = adapter.embedder if hasattr(adapter, "embedder") else adapter.reranker
    return core._lease.value


def retrievers(cores: tuple[Embedder, Reranker], retriever: Any) -> list[Any]:
    embedder, reranker = cores
    made: list[Any] = []
    for one, two in ((FirstStageRetriever, TwoStageRetriever), (lc.FirstStageRetriever, lc.TwoStageRetriever)):
        made.append(one.from_documents(TEXTS, retriever=retriever, embedder=embedder))
        made.append(two.from_documents(TEXTS, retriever=retriever, embedder=embedder, reranker=reranker, top_n=2))
        made.append(two.from_documents(TEXTS, retriever=retriever, embedder=embedder, reranker=None, top_n=2))
    return made


def found(retriever: Any) -> list[str]:
    if hasattr(retriever, "invoke"):
        return [one.page_content for one in retriever.invoke(QUERY)]
    return [one.text for one in retriever.retrieve(QUERY)]


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy])
def test_adapters_share_the_model_with_their_copies(cores: tuple[Embedder, Reranker], duplicate: Any) -> None:
    for one in adapters(cores):
        again = duplicate(one)
        assert again == one
        assert again is not one
        assert weights_of(again) is weights_of(one)
        nested = duplicate({"a": [one]})["a"][0]
        assert weights_of(nested) is weights_of(one)


def test_adapters_are_pickled_with_their_core_object(cores: tuple[Embedder, Reranker]) -> None:
    for one in adapters(cores):
        again = pickle.loads(pickle.dumps(one))
        assert again == one
        assert weights_of(again) is weights_of(one)


@pytest.mark.parametrize("retriever", ["bm25", "dense", "hybrid"])
@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_retrievers_find_what_their_originals_find(
    cores: tuple[Embedder, Reranker], retriever: Any, duplicate: Any
) -> None:
    for one in retrievers(cores, retriever):
        expected = found(one)
        again = duplicate(one)
        assert again is not one
        assert found(again) == expected
        assert found(one) == expected
        if getattr(one, "reranker", None) is not None:
            assert weights_of(again.reranker) is weights_of(one.reranker)


def test_a_deep_copy_of_a_pipeline(cores: tuple[Embedder, Reranker]) -> None:
    callbacks = CallbackManager([LlamaDebugHandler(print_trace_on_end=False)])
    two = TwoStageRetriever.from_documents(
        TEXTS, retriever="bm25", embedder=cores[0], reranker=cores[1], callback_manager=callbacks
    )
    again = copy.deepcopy({"pipeline": [two, two]})["pipeline"]
    assert again[0] is again[1]
    assert found(again[0]) == found(two)
    assert again[0].callback_manager is callbacks


@pytest.fixture
def two_revisions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """A model's id and a revision of it, whose weights order documents the other way round than ``main``'s."""
    repository = tmp_path / "models--acme--reranker"
    for revision in ("a" * 40, "b" * 40):
        tiny_checkpoints.bert_reranker(repository / "snapshots" / revision)
    file = repository / "snapshots" / ("b" * 40) / "model.safetensors"
    weights = load_file(file)
    save_file({**weights, "classifier.weight": -weights["classifier.weight"]}, file, metadata={"format": "pt"})
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("a" * 40)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    return "acme/reranker", "b" * 40


def test_a_core_object_keeps_its_revision_in_what_is_stored(two_revisions: tuple[str, str], tmp_path: Path) -> None:
    model, revision = two_revisions
    source = SourceOptions(revision=revision, local_files_only=True, allow_pickle=True)
    core = Reranker(model, source=source, device="cpu")
    assert core.score([(QUERY, TEXTS[0])]) != Reranker(model, device="cpu").score([(QUERY, TEXTS[0])])
    for owner in (lc.RerankCompressor, RerankPostprocessor):
        around = owner.from_reranker(core)
        assert (around.revision, around.local_files_only, around.allow_pickle) == (revision, True, True)
        again = owner(**around.model_dump())
        assert weights_of(again) is weights_of(around)
    two = lc.TwoStageRetriever.from_documents(TEXTS, retriever="bm25", reranker=core, top_n=None)
    expected = [one.metadata["relevance_score"] for one in two.invoke(QUERY)]
    loaded = lc.TwoStageRetriever.load(two.save(tmp_path / "saved"))
    assert [one.metadata["relevance_score"] for one in loaded.invoke(QUERY)] == expected
