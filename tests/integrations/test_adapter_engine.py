"""Every option of the engine, the score cache included, reaches the core from both frameworks."""

from __future__ import annotations

import copy
import json
import pickle
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import tiny_checkpoints

pytest.importorskip("llama_index.core")
pytest.importorskip("langchain_core")

import langchain_rerank_plugins as lc
import llama_index.embeddings.rerank_plugins as li_embeddings
import llama_index.postprocessor.rerank_plugins as li
from langchain_core.documents import Document
from llama_index.core.schema import NodeWithScore, TextNode

from rerank_plugins import EngineOptions, Reranker, ScoreCache

QUERY = "What do pandas eat?"
TEXTS = tiny_checkpoints.SENTENCES[:3]
ENGINE: dict[str, Any] = {
    "max_batch_tokens": 512,
    "max_wait_ms": 1.0,
    "max_waiting_tokens": 9_000,
    "deadline_s": 60.0,
    "token_cache": False,
    "share_prefix": False,
    "torch_compile": True,  # changes nothing for a BERT on a CPU
}
RERANKERS = [lc.RerankCompressor, lc.RerankCrossEncoder, li.RerankPostprocessor]
EMBEDDERS = [lc.InstructionEmbeddings, li_embeddings.InstructionEmbedding]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_checkpoints.bert_reranker(tmp_path_factory.mktemp("engine") / "reranker")


@pytest.fixture(scope="module")
def embedder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_checkpoints.bert_embedder(tmp_path_factory.mktemp("engine") / "embedder")


def rerank(adapter: Any) -> None:
    if hasattr(adapter, "postprocess_nodes"):
        adapter.postprocess_nodes([NodeWithScore(node=TextNode(text=one)) for one in TEXTS], query_str=QUERY)
    elif hasattr(adapter, "compress_documents"):
        adapter.compress_documents([Document(one) for one in TEXTS], QUERY)
    else:
        adapter.score([(QUERY, one) for one in TEXTS])


def test_the_options_here_are_all_there_are() -> None:
    assert ENGINE.keys() == {one.name for one in fields(EngineOptions)}
    for owner in (*RERANKERS, *EMBEDDERS):
        assert ENGINE.keys() <= owner.model_fields.keys()


@pytest.mark.parametrize("owner", RERANKERS)
def test_options_of_a_reranker_reach_the_core(owner: Any, folder: Path) -> None:
    made = owner(model=str(folder), device="cpu", **ENGINE)
    # The deadline goes with each call, because it may be changed while the object lives.
    assert made.reranker.engine == EngineOptions(**{**ENGINE, "deadline_s": None})
    assert made.deadline_s == 60.0
    rerank(made)
    around = owner.from_reranker(Reranker(folder, device="cpu", engine=EngineOptions(**ENGINE)))
    assert {name: getattr(around, name) for name in ENGINE} == ENGINE


@pytest.mark.parametrize("owner", EMBEDDERS)
def test_options_of_an_embedder_reach_the_core(owner: Any, embedder_folder: Path) -> None:
    name = "model_name" if "model_name" in owner.model_fields else "model"
    made = owner(**{name: str(embedder_folder), "device": "cpu"}, **ENGINE)
    assert made.embedder._engine == EngineOptions(**ENGINE)
    around = owner.from_embedder(made.embedder)
    assert {name: getattr(around, name) for name in ENGINE} == ENGINE


@pytest.mark.parametrize("owner", RERANKERS)
def test_scores_are_kept_in_a_cache_that_is_shared(owner: Any, folder: Path) -> None:
    cache = ScoreCache(100)
    made = owner(model=str(folder), device="cpu", score_cache=cache)
    rerank(made)
    assert (cache.info().hits, cache.info().entries) == (0, len(TEXTS))
    for again in (made, copy.deepcopy(made), made.with_settings(max_length=made.reranker.max_length)):
        before = cache.info().hits
        rerank(again)
        assert cache.info().hits == before + len(TEXTS)
    core = Reranker(folder, device="cpu", cache=cache)
    assert owner.from_reranker(core).score_cache is cache
    other = made.with_settings(score_cache=None)
    before = cache.info().hits
    rerank(other)
    assert cache.info().hits == before


@pytest.mark.parametrize("owner", RERANKERS)
def test_a_cache_is_not_stored(owner: Any, folder: Path) -> None:
    made = owner(model=str(folder), device="cpu", score_cache=ScoreCache(7))
    stored = made.to_dict() if hasattr(made, "to_dict") else made.model_dump(mode="json")
    assert "score_cache" not in stored
    json.dumps(stored)
    json.dumps(owner.model_json_schema())
    plain = owner(**stored)
    assert plain.score_cache is None
    assert plain == made
    again = pickle.loads(pickle.dumps(made))
    assert (again.score_cache.info().max_entries, again.score_cache.info().entries) == (7, 0)


@pytest.mark.parametrize("owner", RERANKERS)
@pytest.mark.parametrize("wrong", [True, 100, "cache", {}, ScoreCache])
def test_what_is_no_cache(owner: Any, folder: Path, wrong: Any) -> None:
    with pytest.raises(ValueError, match="score_cache"):
        owner(model=str(folder), device="cpu", score_cache=wrong)
