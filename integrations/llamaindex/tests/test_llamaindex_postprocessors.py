"""The three postprocessors keep the package's contract, and what each of them adds."""

from __future__ import annotations

import asyncio
import math
import pickle
from dataclasses import fields
from functools import partial
from pathlib import Path

import llama_index.postprocessor.rerank_plugins
import pytest
from llama_index.core.callbacks import CallbackManager
from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle, TextNode
from llama_index.postprocessor.rerank_plugins import (
    BceRerankPostprocessor,
    BgeRerankPostprocessor,
    RerankPostprocessor,
)
from rerank_plugins_testing.llamaindex import PostprocessorConformance, recording

from rerank_plugins.adapters.metadata import DETAIL_KEYS, RETRIEVAL_SCORE_KEY
from rerank_plugins.calls.flat_options import RERANKER_OPTIONS
from rerank_plugins.errors import InvalidInputError, ModelUnavailableError
from rerank_plugins.reranker import Reranker
from rerank_plugins.types import EngineOptions, LongDocuments


class TestRerankPostprocessor(PostprocessorConformance):
    @pytest.fixture
    def make(self, checkpoints):
        return partial(RerankPostprocessor, model=str(checkpoints / "bert-reranker"), device="cpu")


class TestBgeRerankPostprocessor(PostprocessorConformance):
    @pytest.fixture
    def make(self, checkpoints):
        return partial(BgeRerankPostprocessor, model=checkpoints / "xlmr-reranker", device="cpu")


class TestBceRerankPostprocessor(PostprocessorConformance):
    @pytest.fixture
    def make(self, checkpoints):
        return partial(BceRerankPostprocessor, model=str(checkpoints / "xlmr-reranker"), device="cpu")


class TestFromReranker:
    """The contract that does not need pickling, on a core object that exists already."""

    @pytest.fixture
    def reranker(self, checkpoints):
        return Reranker(checkpoints / "bert-reranker", device="cpu", max_length=64)

    def test_it_is_used_as_it_is(self, reranker):
        made = RerankPostprocessor.from_reranker(reranker, top_n=1, score_unit="probability")
        assert made.reranker is reranker
        assert (made.top_n, made.max_length, made.device) == (1, 64, "cpu")
        (result,) = made.postprocess_nodes(nodes_of("a panda", "Paris"), query_str="panda?")
        assert result.score == reranker.rank("panda?", ["a panda", "Paris"])[0].probability

    def test_its_own_options_are_refused(self, reranker):
        with pytest.raises(ValueError, match="max_length cannot be set here"):
            RerankPostprocessor.from_reranker(reranker, max_length=32)

    def test_a_misspelt_setting_is_refused(self, reranker):
        with pytest.raises(ValueError, match="Did you mean 'top_n'"):
            RerankPostprocessor.from_reranker(reranker, topn=32)

    def test_anything_else_is_refused(self):
        with pytest.raises(ValueError, match=r"reranker must be a rerank_plugins\.Reranker .*got str"):
            RerankPostprocessor.from_reranker("BAAI/bge-reranker-base")

    def test_pickling_says_the_way_out(self, checkpoints):
        sentence_transformers = pytest.importorskip("sentence_transformers")
        loaded = sentence_transformers.CrossEncoder(str(checkpoints / "bert-reranker"), device="cpu")
        made = BgeRerankPostprocessor.from_reranker(Reranker.from_loaded(loaded))
        with pytest.raises(TypeError, match=r"cannot pickle .*Create one"):
            pickle.dumps(made)


def nodes_of(*texts: str) -> list[NodeWithScore]:
    return [NodeWithScore(node=TextNode(id_=text, text=text), score=0.5) for text in texts]


@pytest.fixture
def folder(checkpoints) -> Path:
    return checkpoints / "bert-reranker"


def test_weights_are_shared(folder):
    first, second = (RerankPostprocessor(model=folder, device="cpu", top_n=n) for n in (1, 2))
    assert first.reranker._lease.value is second.reranker._lease.value


def test_model_options_are_fixed_and_others_are_not(folder):
    made = RerankPostprocessor(model=folder, device="cpu")
    with pytest.raises(ValueError, match="frozen"):
        made.max_length = 10
    with pytest.raises(ValueError, match="top_n"):
        made.top_n = 0
    made.top_n = 1
    assert len(made.postprocess_nodes(nodes_of("a", "b"), query_str="q")) == 1


def test_engine_options_reach_the_core(folder):
    options = {"max_waiting_tokens": 9000, "max_wait_ms": 2.0, "max_batch_tokens": 512}
    made = RerankPostprocessor(model=folder, device="cpu", deadline_s=5, **options)
    assert made.reranker.engine == EngineOptions(**options)
    adopted = RerankPostprocessor.from_reranker(Reranker(folder, device="cpu", engine=EngineOptions(deadline_s=4)))
    assert (adopted.deadline_s, adopted.max_waiting_tokens) == (4, None)
    with pytest.raises(ValueError, match="max_wait_ms cannot be set here"):
        RerankPostprocessor.from_reranker(made.reranker, max_wait_ms=1.0)
    assert {field.name for field in fields(EngineOptions)} <= set(RerankPostprocessor.model_fields)


def test_readme_names_every_class_and_mark():
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    for name in llama_index.postprocessor.rerank_plugins.__all__:
        assert f"`{name}`" in readme
    for key in (RETRIEVAL_SCORE_KEY, *DETAIL_KEYS):
        assert key in readme


def test_every_core_option_is_exposed():
    import inspect

    # What is in a group there is a field of its own here; a backend is passed inside a reranker, to from_reranker.
    options = set(inspect.signature(Reranker).parameters) - {"engine", "backend", "cache", "source"} | set(
        RERANKER_OPTIONS
    )
    engine = set(inspect.signature(EngineOptions).parameters)
    for kind in (RerankPostprocessor, BgeRerankPostprocessor, BceRerankPostprocessor):
        assert options | engine <= set(kind.model_fields)
        assert all(field.description for name, field in kind.model_fields.items() if name != "callback_manager")


def test_defaults():
    fields = BgeRerankPostprocessor.model_fields
    assert (fields["model"].default, fields["family"].default) == ("BAAI/bge-reranker-v2-m3", "bge")
    fields = BceRerankPostprocessor.model_fields
    assert (fields["model"].default, fields["family"].default) == ("maidalun1020/bce-reranker-base_v1", "bce")
    assert fields["long_documents"].default == "maxp"


@pytest.mark.parametrize("kind", [BgeRerankPostprocessor, BceRerankPostprocessor])
def test_default_model_offline_says_the_way_out(kind, monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelUnavailableError, match="HF_ENDPOINT"):
        kind(local_files_only=True)


def test_wrong_values_are_refused_when_they_are_set(folder):
    for options in ({"long_documents": "best"}, {"max_length": 0}, {"dtype": "float8"}, {"score_unit": "logit"}):
        with pytest.raises(ValueError, match=next(iter(options))):
            RerankPostprocessor(model=folder, device="cpu", **options)


def test_details_of_a_long_text(folder):
    long = LongDocuments(strategy="maxp", overlap_tokens=4)
    made = RerankPostprocessor(model=folder, device="cpu", max_length=24, long_documents=long)
    text = "Paris is the capital of France. " * 6 + "the panda eats bamboo. " * 3
    node = TextNode(text=text, metadata={"file": "a.txt"})
    result, short = made.postprocess_nodes(
        [NodeWithScore(node=node, score=0.25), *nodes_of("bamboo")], query_str="panda?"
    )
    if short.node.text == text:
        result, short = short, result
    start, end = result.metadata["rerank_window"]
    assert 0 < end - start < len(made.scored_text(node))
    assert made.scored_text(result.node) == made.scored_text(node) == node.get_content(MetadataMode.EMBED)
    assert result.metadata["rerank_truncated"] is False
    assert "rerank_window" not in short.metadata
    assert {one.metadata["rerank_rank"] for one in (result, short)} == {1, 2}
    assert RerankPostprocessor.from_dict(made.to_dict()).long_documents == long


def test_without_marks_the_same_nodes_come_back(folder):
    made = RerankPostprocessor(model=folder, device="cpu", keep_retrieval_score=False, keep_details=False)
    nodes = nodes_of("a panda", "Paris")
    given = {one.node_id: one.node for one in nodes}
    for one in made.postprocess_nodes(nodes, query_str="panda?"):
        assert one.node is given[one.node_id]
        assert one.score != 0.5


def test_a_users_own_key_is_kept_when_nothing_replaces_it(folder):
    made = RerankPostprocessor(model=folder, device="cpu", keep_retrieval_score=False)
    node = TextNode(text="a panda", metadata={"retrieval_score": "mine"})
    (result,) = made.postprocess_nodes([NodeWithScore(node=node)], query_str="panda?")
    assert result.metadata["retrieval_score"] == "mine"


def test_a_users_own_hidden_key_need_not_be_a_number(folder):
    made = RerankPostprocessor(model=folder, device="cpu")
    hidden = ["retrieval_score"]
    node = TextNode(text="a panda", metadata={"retrieval_score": "mine"}, excluded_llm_metadata_keys=hidden)
    (result,) = made.postprocess_nodes([NodeWithScore(node=node, score=0.5)], query_str="panda?")
    assert result.metadata["retrieval_score"] == 0.5
    assert node.metadata["retrieval_score"] == "mine"


@pytest.mark.parametrize("score", [None, float("nan")])
def test_no_retrieval_score(folder, score):
    made = RerankPostprocessor(model=folder, device="cpu")
    nodes = [NodeWithScore(node=TextNode(text="a panda"), score=score)]
    (result,) = made.postprocess_nodes(nodes, query_str="panda?")
    assert "retrieval_score" not in result.metadata
    assert result.metadata["rerank_truncated"] is False


def test_closed_reranker(folder):
    made = RerankPostprocessor.from_reranker(Reranker(folder, device="cpu"))
    made.reranker.close()
    with pytest.raises(Exception, match="closed"):
        made.postprocess_nodes(nodes_of("a"), query_str="q")


def test_one_error_that_reaches_two_callers_is_reported_to_both(folder, monkeypatch):
    """LlamaIndex's manager marks the exception object and leaves it out the second time."""
    error = RuntimeError("the batch of both callers failed")

    def fail(*_: object, **__: object) -> None:
        raise error

    with recording() as seen:
        made = RerankPostprocessor(model=folder, device="cpu", callback_manager=seen.callback_manager)
        monkeypatch.setattr(Reranker, "rank", fail)
        for _ in range(2):
            with pytest.raises(RuntimeError, match="both callers"):
                made.postprocess_nodes(nodes_of("a"), query_str="q")
    assert [payload.get("exception") for phase, payload in seen.callbacks if phase == "end"] == [error, error]


def test_a_cancelled_call_is_reported_as_ended(folder, monkeypatch):
    async def wait_forever(*_: object, **__: object) -> None:
        await asyncio.Event().wait()

    async def cancel_it() -> None:
        task = asyncio.create_task(made.apostprocess_nodes(nodes_of("a"), query_str="q"))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with recording() as seen:
        made = RerankPostprocessor(model=folder, device="cpu", callback_manager=seen.callback_manager)
        monkeypatch.setattr(Reranker, "arank", wait_forever)
        asyncio.run(cancel_it())
    assert seen.names == ["ReRankStartEvent", "ReRankEndEvent"]
    assert seen.phases == ["start", "end"]


def test_async_does_not_use_the_default_executor_for_scoring(folder, monkeypatch):
    """The postprocessor awaits the core; LlamaIndex's fall-back would run the whole call in a thread."""
    made = RerankPostprocessor(model=folder, device="cpu", callback_manager=CallbackManager())
    monkeypatch.setattr(type(made), "_postprocess_nodes", None)
    results = asyncio.run(made.apostprocess_nodes(nodes_of("a", "b"), query_bundle=QueryBundle("q")))
    assert len(results) == 2


def test_saved_options_of_a_given_reranker_open_it_again(folder):
    given = RerankPostprocessor.from_reranker(Reranker(folder, device="cpu"))
    again = RerankPostprocessor.from_dict(given.to_dict())
    nodes = nodes_of("panda eats bamboo", "Paris is a capital")
    scores = [[one.score for one in each.postprocess_nodes(nodes, query_str="panda")] for each in (given, again)]
    assert scores[0] == scores[1]


@pytest.mark.parametrize("node", [TextNode(text="panda"), "panda"])
def test_a_node_without_score_is_told_apart(folder, node):
    reranker = RerankPostprocessor(model=str(folder), device="cpu")
    with pytest.raises(InvalidInputError, match=r"nodes\[0\] must be a NodeWithScore, so wrap it: .*; got \w+"):
        reranker.postprocess_nodes([node], query_str="panda")


def test_callbacks_of_one_block(checkpoints):
    made = RerankPostprocessor(model=checkpoints / "bert-reranker", device="cpu")
    nodes = [NodeWithScore(node=TextNode(text="panda"))]
    with recording() as seen, recording() as engines:
        with made.using(callback_manager=seen.callback_manager), made.using(top_n=1):
            made.postprocess_nodes(nodes, query_str="panda")
            asyncio.run(made.apostprocess_nodes(nodes, query_str="panda"))
        assert len(seen.callbacks) == 4
        with made.using(top_n=1):
            made.callback_manager = engines.callback_manager
            made.postprocess_nodes(nodes, query_str="panda")
        assert (len(seen.callbacks), len(engines.callbacks)) == (4, 2)


@pytest.mark.parametrize("score", [None, math.nan, 0.5])
def test_the_score_of_an_earlier_reranking_is_none_of_the_retrieval(folder, score):
    made = RerankPostprocessor(model=folder, device="cpu")
    found = [NodeWithScore(node=TextNode(text="a panda"), score=score)]
    for _ in range(3):
        found = made.postprocess_nodes(found, query_str="panda")
        assert found[0].metadata.get("retrieval_score") == (0.5 if score == 0.5 else None)
    own = TextNode(text="a panda", metadata={"rerank_rank": 3})  # a user's key of that name is read by the LLM
    (result,) = made.postprocess_nodes([NodeWithScore(node=own, score=0.5)], query_str="panda")
    assert result.metadata["retrieval_score"] == 0.5
