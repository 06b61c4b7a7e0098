"""What the embeddings promise beyond langchain-tests' suites."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest
from langchain_classic.embeddings import CacheBackedEmbeddings
from langchain_core.stores import InMemoryByteStore
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_rerank_plugins import BceEmbeddings, BgeEmbeddings, InstructionEmbeddings

from rerank_plugins import Embedder, InstructionOptions, SourceOptions
from rerank_plugins.errors import InvalidInputError

TEXTS = ["Paris is the capital of France.", "Berlin is the capital of Germany.", ""]


@pytest.fixture
def embeddings(langchain_models: dict[str, str]) -> BgeEmbeddings:
    return BgeEmbeddings(model=langchain_models["bert-embedder"], device="cpu")


def test_no_texts(embeddings: BgeEmbeddings) -> None:
    assert embeddings.embed_documents([]) == []
    assert asyncio.run(embeddings.aembed_documents([])) == []


def test_vectors_are_the_cores_own_as_floats(embeddings: BgeEmbeddings) -> None:
    vectors = embeddings.embed_documents(TEXTS)
    assert {type(value) for vector in vectors for value in vector} == {float}
    expected = Embedder(embeddings.model, device="cpu", source=SourceOptions(family="bge")).embed_documents(TEXTS)
    for vector, row in zip(vectors, expected, strict=True):
        assert vector == pytest.approx(row.tolist(), abs=1e-5)


def test_instructions_are_put_in_front(langchain_models: dict[str, str]) -> None:
    folder = langchain_models["bert-embedder"]
    plain = InstructionEmbeddings(model=folder, device="cpu")
    told = InstructionEmbeddings(model=folder, device="cpu", query_instruction="query: ", document_instruction="note: ")
    assert told.embed_query("Paris") == pytest.approx(plain.embed_query("query: Paris"), abs=1e-5)
    (document,) = told.embed_documents(["Paris"])
    assert document == pytest.approx(plain.embed_query("note: Paris"), abs=1e-5)
    assert told.embed_query("Paris") != pytest.approx(document, abs=1e-3)


def test_line_breaks_are_not_replaced(embeddings: BgeEmbeddings, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    original = Embedder.embed_documents

    def spy(self: Embedder, documents: list[str]) -> object:
        seen.extend(documents)
        return original(self, documents)

    monkeypatch.setattr(Embedder, "embed_documents", spy)
    embeddings.embed_documents(["one\ntwo"])
    assert seen == ["one\ntwo"]


def test_unknown_task_is_refused(langchain_models: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="no task 'chat'"):
        InstructionEmbeddings(model=langchain_models["bert-embedder"], device="cpu", task="chat")


async def test_async_is_native_and_equal(embeddings: BgeEmbeddings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "langchain_core.embeddings.embeddings.run_in_executor", lambda *_: pytest.fail("went through an executor")
    )
    query, documents = embeddings.embed_query("Paris"), embeddings.embed_documents(TEXTS)
    assert await embeddings.aembed_query("Paris") == pytest.approx(query, abs=1e-5)
    for vector, expected in zip(await embeddings.aembed_documents(TEXTS), documents, strict=True):
        assert vector == pytest.approx(expected, abs=1e-5)


def test_threads_and_loops_get_what_one_caller_gets(langchain_models: dict[str, str]) -> None:
    embeddings = BceEmbeddings(model=langchain_models["xlmr-embedder"], device="cpu")
    expected = embeddings.embed_query("Paris")

    def ask(number: int) -> list[float]:
        return asyncio.run(embeddings.aembed_query("Paris")) if number % 2 else embeddings.embed_query("Paris")

    with ThreadPoolExecutor(16) as pool:
        for vector in pool.map(ask, range(32)):
            assert vector == pytest.approx(expected, abs=1e-5)


def test_from_embedder(embeddings: BgeEmbeddings) -> None:
    embedder = Embedder(embeddings.model, device="cpu", instruction=InstructionOptions(query="query: "))
    adopted = InstructionEmbeddings.from_embedder(embedder)
    assert adopted.embedder is embedder
    assert adopted.query_instruction == "query: "
    with pytest.raises(InvalidInputError, match="got BgeEmbeddings"):
        InstructionEmbeddings.from_embedder(embeddings)  # type: ignore[arg-type]


@pytest.mark.parametrize("texts", ["Paris", [3]])
def test_refuses_what_is_not_text(embeddings: BgeEmbeddings, texts: list[str]) -> None:
    with pytest.raises(InvalidInputError, match="documents"):
        embeddings.embed_documents(texts)


async def test_inside_a_vector_store(embeddings: BgeEmbeddings) -> None:
    store = InMemoryVectorStore(embeddings)
    await store.aadd_texts(TEXTS[:2])
    (found,) = store.similarity_search("Paris is the capital of France.", k=1)
    assert found.page_content in TEXTS


def test_the_namespace_of_a_cache_that_the_page_advises(langchain_models: dict[str, str]) -> None:
    store = InMemoryByteStore()
    for model in ("bert-embedder", "xlmr-embedder"):
        for settings in ({}, {"document_instruction": "note: "}):
            plain = InstructionEmbeddings(model=langchain_models[model], device="cpu", **settings)  # type: ignore[arg-type]
            namespace = plain.embedder.vectors_key(is_query=False)
            cached = CacheBackedEmbeddings.from_bytes_store(plain, store, namespace=namespace, key_encoder="sha256")
            for _ in range(2):
                assert cached.embed_documents(TEXTS) == [pytest.approx(one) for one in plain.embed_documents(TEXTS)]
                assert cached.embed_query(TEXTS[0]) == pytest.approx(plain.embed_query(TEXTS[0]))
