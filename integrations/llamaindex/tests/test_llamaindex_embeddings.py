"""The embeddings keep the package's contract, and what each of them adds."""

from __future__ import annotations

import inspect
from functools import partial
from math import isfinite

import pytest
from llama_index.core.storage.kvstore import SimpleKVStore
from llama_index.embeddings.rerank_plugins import BceEmbedding, BgeEmbedding, InstructionEmbedding
from llama_index_instrumentation import get_dispatcher
from llama_index_instrumentation.span_handlers import SimpleSpanHandler
from rerank_plugins_testing.llamaindex import EmbeddingConformance

from rerank_plugins import EngineOptions, InstructionOptions
from rerank_plugins.calls.flat_options import EMBEDDER_OPTIONS
from rerank_plugins.embedder import Embedder
from rerank_plugins.errors import ModelUnavailableError


class TestInstructionEmbedding(EmbeddingConformance):
    @pytest.fixture
    def make(self, checkpoints):
        return partial(InstructionEmbedding, model_name=str(checkpoints / "bert-embedder"), device="cpu")


class TestBgeEmbedding(EmbeddingConformance):
    @pytest.fixture
    def make(self, checkpoints):
        return partial(BgeEmbedding, model_name=checkpoints / "bert-embedder", device="cpu")


class TestBceEmbedding(EmbeddingConformance):
    @pytest.fixture
    def make(self, checkpoints):
        return partial(BceEmbedding, model_name=str(checkpoints / "xlmr-embedder"), device="cpu")


def test_from_embedder(checkpoints):
    embedder = Embedder(
        checkpoints / "bert-embedder", device="cpu", max_length=32, instruction=InstructionOptions(query="ask: ")
    )
    made = InstructionEmbedding.from_embedder(embedder, embed_batch_size=3)
    assert made.embedder is embedder
    assert (made.embed_batch_size, made.max_length, made.query_instruction) == (3, 32, "ask: ")
    with pytest.raises(ValueError, match="task cannot be set here"):
        InstructionEmbedding.from_embedder(embedder, task="qa")


def test_every_core_option_is_exposed():
    # What is in a group there is a field of its own here; a backend is passed inside an embedder, to from_embedder.
    groups = {"engine", "backend", "instruction", "vectors", "cache", "source"}
    options = set(inspect.signature(Embedder).parameters) - {"model", *groups} | {"model_name", *EMBEDDER_OPTIONS}
    engine = set(inspect.signature(EngineOptions).parameters)
    for kind in (InstructionEmbedding, BgeEmbedding, BceEmbedding):
        assert options | engine <= set(kind.model_fields)


def test_llamaindex_spelling_of_the_model_option():
    with pytest.raises(ValueError, match="Did you mean 'model_name'"):
        BgeEmbedding(model="BAAI/bge-m3")


def test_unknown_task(checkpoints):
    with pytest.raises(ValueError, match="has no task 'qa'"):
        InstructionEmbedding(model_name=checkpoints / "bert-embedder", device="cpu", task="qa")


def test_copies_with_other_settings(checkpoints):
    made = InstructionEmbedding(model_name=checkpoints / "bert-embedder", device="cpu", document_instruction="file: ")
    small = made.with_settings(embed_batch_size=3)
    assert small.embedder is made.embedder
    assert (small.embed_batch_size, small.document_instruction) == (3, "file: ")
    other = made.with_settings(document_instruction="page: ")
    assert other.embedder._lease.value is made.embedder._lease.value
    assert other.get_text_embedding("panda") != made.get_text_embedding("panda")
    for wrong in ({"embed_batch_size": 0}, {"batch_size": 3}, {"max_length": 0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            made.with_settings(**wrong)
    with pytest.raises(ValueError, match="embed_batch_size"):
        made.embed_batch_size = 0
    assert made.embed_batch_size == InstructionEmbedding.model_fields["embed_batch_size"].default
    adopted = InstructionEmbedding.from_embedder(made.embedder)
    with pytest.raises(ValueError, match="passed to it in memory"):
        adopted.with_settings(max_length=16)
    assert adopted.with_settings(embed_batch_size=2).embedder is made.embedder


@pytest.mark.parametrize("kind", [BgeEmbedding, BceEmbedding, InstructionEmbedding])
def test_default_model_offline_says_the_way_out(kind, monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelUnavailableError, match="HF_ENDPOINT"):
        kind(local_files_only=True)


def test_a_node_without_words_does_not_hide_the_right_ones() -> None:
    from llama_index.core import VectorStoreIndex
    from llama_index.core.schema import TextNode

    texts = ["🎉🎉🎉", "Paris is the capital of France.", "\u200b", "Bread is baked in an oven.", "\n "]
    nodes = [TextNode(text=text, id_=str(index)) for index, text in enumerate(texts)]
    index = VectorStoreIndex(nodes, embed_model=InstructionEmbedding(model_name="mini"))
    found = index.as_retriever(similarity_top_k=5).retrieve("What is the capital of France?")
    assert found[0].node.node_id == "1"
    assert all(one.score is not None and isfinite(one.score) for one in found)
    assert len(index.as_retriever(similarity_top_k=5).retrieve("🎉")) == 5


async def test_a_cache_keeps_a_query_apart_from_a_document_of_the_same_text(checkpoints):
    text, store = "What do pandas eat?", SimpleKVStore()
    plain = BgeEmbedding(model_name=checkpoints / "bert-embedder", device="cpu", query_instruction="ask: ")
    cached = plain.model_copy(update={"embeddings_cache": store})
    query, document = plain.get_query_embedding(text), plain.get_text_embedding(text)
    assert query != document
    for _ in range(2):
        assert cached.get_text_embedding(text) == document
        assert cached.get_query_embedding(text) == query
        assert await cached.aget_query_embedding(text) == query
        assert cached.get_text_embedding_batch([text]) == [document]
        assert cached.get_agg_embedding_from_queries([text, text]) == pytest.approx(query)
    assert cached.embeddings_cache is store
    cached.close()
    assert cached.get_query_embedding(text) == query  # from the cache


def test_a_query_is_one_span_with_a_cache_and_without(checkpoints):
    root, seen = get_dispatcher(), SimpleSpanHandler()
    root.add_span_handler(seen)
    try:
        for cache in (None, SimpleKVStore()):
            made = BgeEmbedding(model_name=checkpoints / "bert-embedder", device="cpu", embeddings_cache=cache)
            made.get_query_embedding("What do pandas eat?")
    finally:
        root.span_handlers.remove(seen)
    names = [one.id_.partition("-")[0] for one in seen.completed_spans]
    assert names.count("BgeEmbedding.get_query_embedding") == 2
    assert names.count("BgeEmbedding._get_query_embedding") == 2
