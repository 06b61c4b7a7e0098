"""The embeddings keep the package's contract, and what each of them adds."""

from __future__ import annotations

import inspect
import shutil
from functools import partial
from math import isfinite

import pytest
from llama_index.core import MockEmbedding, VectorStoreIndex
from llama_index.core.ingestion import IngestionCache, IngestionPipeline
from llama_index.core.schema import TextNode
from llama_index.core.storage.kvstore import SimpleKVStore
from llama_index.embeddings.rerank_plugins import BceEmbedding, BgeEmbedding, InstructionEmbedding
from llama_index_instrumentation import get_dispatcher
from llama_index_instrumentation.span_handlers import SimpleSpanHandler
from rerank_plugins_testing.llamaindex import EmbeddingConformance
from safetensors.torch import load_file, save_file

from rerank_plugins import EngineOptions, InstructionOptions
from rerank_plugins.calls.flat_options import EMBEDDER_OPTIONS
from rerank_plugins.embedder import Embedder
from rerank_plugins.errors import InvalidInputError, ModelUnavailableError


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
    texts = ["🎉🎉🎉", "Paris is the capital of France.", "\u200b", "Bread is baked in an oven.", "\n "]
    nodes = [TextNode(text=text, id_=str(index)) for index, text in enumerate(texts)]
    index = VectorStoreIndex(nodes, embed_model=InstructionEmbedding(model_name="mini"))
    found = index.as_retriever(similarity_top_k=5).retrieve("What is the capital of France?")
    assert found[0].node.node_id == "1"
    assert all(one.score is not None and isfinite(one.score) for one in found)
    assert len(index.as_retriever(similarity_top_k=5).retrieve("🎉")) == 5


@pytest.mark.parametrize("has_cache", [False, True])
async def test_a_single_text_is_no_list_and_none_is_no_text(has_cache):
    made = InstructionEmbedding(model_name="mini", embeddings_cache=SimpleKVStore() if has_cache else None)
    made.get_text_embedding("None")
    for texts, told in (("abc", "texts must be a list, got str"), (["a", None], r"texts\[1\] must be a string")):
        with pytest.raises(InvalidInputError, match=told):
            made.get_text_embedding_batch(texts)
        with pytest.raises(InvalidInputError, match=told):
            await made.aget_text_embedding_batch(texts)
    with pytest.raises(InvalidInputError, match="must be a string, got NoneType"):
        made.get_text_embedding(None)


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


async def every_vector(made, text):
    """What each public method gives, queries first."""
    queries = [made.get_query_embedding(text), await made.aget_query_embedding(text)]
    documents = [
        made.get_text_embedding(text),
        await made.aget_text_embedding(text),
        *made.get_text_embedding_batch([text, text]),
        *await made.aget_text_embedding_batch([text, text]),
        made([TextNode(text=text)])[0].embedding,
        (await made.acall([TextNode(text=text)]))[0].embedding,
    ]
    return [*queries, *documents]


OTHER_SETTINGS = [
    {"query_instruction": "ask: "},
    {"document_instruction": "file: "},
    {"max_length": 5},
    {"dimensions": 16},
    {"dtype": "bfloat16"},
]


@pytest.mark.parametrize("direction", [1, -1])
async def test_models_and_settings_on_one_cache_never_exchange_vectors(checkpoints, direction):
    text, store = "What do pandas eat in the mountains of Sichuan?", SimpleKVStore()
    make = partial(InstructionEmbedding, model_name=checkpoints / "bert-embedder", device="cpu")
    plain = [
        make(),
        make(model_name=checkpoints / "xlmr-embedder"),
        make(model_name="mini"),
        *(make(**settings) for settings in OTHER_SETTINGS),
    ][::direction]
    alone = [await every_vector(one, text) for one in plain]
    assert len({str(vectors[0]) for vectors in alone}) + len({str(vectors[2]) for vectors in alone}) == 14
    cached = [one.model_copy(update={"embeddings_cache": store}) for one in plain]
    foreign = MockEmbedding(embed_dim=3, embeddings_cache=store)
    for _ in range(2):
        assert foreign.get_text_embedding(text) == [0.5] * 3
        for one, expected in zip(cached, alone, strict=True):
            assert await every_vector(one, text) == [pytest.approx(vector, abs=1e-6) for vector in expected]
    # The collection is LlamaIndex's, and an entry has its form. Settings of queries leave documents their entry.
    entries = store.get_all(collection="embeddings")
    assert len(entries) == 1 + 14
    assert all(key.endswith(text) and len(entry) == 1 for key, entry in entries.items())


async def test_a_cache_is_of_use_to_the_same_model_wherever_it_lies(checkpoints, tmp_path):
    text, store = "What do pandas eat?", SimpleKVStore()
    make = partial(InstructionEmbedding, device="cpu", embeddings_cache=store)
    first = make(model_name=checkpoints / "bert-embedder")
    expected = await every_vector(first, text)
    store.persist(str(tmp_path / "cache.json"))
    moved = shutil.copytree(checkpoints / "bert-embedder", tmp_path / "moved", copy_function=shutil.copyfile)
    kept = SimpleKVStore.from_persist_path(str(tmp_path / "cache.json"))
    again = make(model_name=moved, embeddings_cache=kept)
    again.close()  # Whatever it gives now, the cache had.
    assert await every_vector(again, text) == expected
    later = InstructionEmbedding(model_name=moved, device="cpu")
    later.embeddings_cache = kept
    later.close()
    assert await every_vector(later, text) == expected


async def test_a_cache_has_no_vectors_of_weights_that_were_written_again(checkpoints, tmp_path):
    text, store = "What do pandas eat?", SimpleKVStore()
    make = partial(InstructionEmbedding, device="cpu", embeddings_cache=store)
    folder = shutil.copytree(checkpoints / "bert-embedder", tmp_path / "model")
    core = Embedder(folder, device="cpu")
    old = await every_vector(make(model_name=folder), text)
    weights = {name: tensor * 1.5 for name, tensor in load_file(folder / "model.safetensors").items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    new = await every_vector(make(model_name=folder), text)
    assert new[0] != pytest.approx(old[0], abs=1e-3)
    # What was loaded before is what it was, though its files are gone.
    assert await every_vector(InstructionEmbedding.from_embedder(core, embeddings_cache=store), text) == [
        pytest.approx(vector, abs=1e-6) for vector in old
    ]


def test_a_pipelines_cache_has_no_vectors_of_weights_that_were_written_again(checkpoints, tmp_path):
    folder = shutil.copytree(checkpoints / "bert-embedder", tmp_path / "model")
    moved = shutil.copytree(folder, tmp_path / "moved", copy_function=shutil.copyfile)
    cache = IngestionCache()

    def ingested(**options):
        made = InstructionEmbedding(device="cpu", **options)
        nodes = IngestionPipeline(transformations=[made], cache=cache).run(nodes=[TextNode(text="a panda", id_="1")])
        assert nodes[0].embedding == pytest.approx(made.get_text_embedding("a panda"), abs=1e-6)
        return InstructionEmbedding.from_dict(made.to_dict()) == made

    assert ingested(model_name=folder)
    assert ingested(model_name=folder)
    assert len(cache.cache.get_all(cache.collection)) == 1
    weights = {name: tensor * 1.5 for name, tensor in load_file(folder / "model.safetensors").items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    assert ingested(model_name=folder)
    assert len(cache.cache.get_all(cache.collection)) == 2
    assert ingested(model_name=moved)


def test_the_key_of_its_vectors_is_in_a_stored_form_and_is_no_option(checkpoints):
    made = InstructionEmbedding(model_name=checkpoints / "bert-embedder", device="cpu")
    stored = made.to_dict()
    assert InstructionEmbedding.from_json(made.to_json()) == made
    assert InstructionEmbedding(**stored) == made
    assert stored == made.to_dict()
    with pytest.raises(ValueError, match="vectors_key"):
        InstructionEmbedding(model_name=checkpoints / "bert-embedder", vectors_key="mine")


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
