"""The retrievers and compressors in the pipelines that people write: names, limits per call, chains, tools."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import pytest
from langchain_classic.retrievers import ContextualCompressionRetriever
from langchain_classic.retrievers.document_compressors import DocumentCompressorPipeline
from langchain_core.documents import Document
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import ConfigurableField, RunnableLambda, RunnablePassthrough
from langchain_core.tools.retriever import create_retriever_tool
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_rerank_plugins import (
    FirstStageRetriever,
    InstructionEmbeddings,
    RerankCompressor,
    RerankCrossEncoder,
    TwoStageRetriever,
)
from pydantic import ValidationError

from rerank_plugins import Embedder, Reranker
from rerank_plugins.errors import InvalidInputError

TEXTS = [
    "Paris is the capital of France and its largest city.",
    "Berlin is the capital of Germany; the Spree flows through it.",
    "The panda is a bear that eats bamboo in the mountains of Sichuan.",
    "Reranking reads a query and a document together and scores the pair.",
]
QUERY = "What is the capital of France?"


@pytest.fixture
def models(langchain_models: dict[str, str]) -> dict[str, Any]:
    embedder = Embedder(langchain_models["bert-embedder"], device="cpu")
    return {"embedder": embedder, "reranker": Reranker(langchain_models["bert-reranker"], device="cpu")}


@pytest.fixture
def compressor(models: dict[str, Any]) -> RerankCompressor:
    return RerankCompressor.from_reranker(models["reranker"], top_n=3)


@pytest.fixture
def store(models: dict[str, Any]) -> InMemoryVectorStore:
    made = InMemoryVectorStore(InstructionEmbeddings.from_embedder(models["embedder"]))
    made.add_texts(TEXTS)
    return made


@pytest.fixture(params=["two stages", "vector store", "first stage alone", "first stage"])
def retriever(request: pytest.FixtureRequest, models: dict[str, Any], store: InMemoryVectorStore) -> Any:
    """Every retriever of this package, with four documents that it finds."""
    return {
        "two stages": lambda: TwoStageRetriever.from_documents(TEXTS, **models, top_n=None),
        "vector store": lambda: TwoStageRetriever.from_vector_store(store, reranker=models["reranker"], top_n=4),
        "first stage alone": lambda: TwoStageRetriever.from_documents(TEXTS, **{**models, "reranker": None}),
        "first stage": lambda: FirstStageRetriever.from_documents(TEXTS, embedder=models["embedder"]),
    }[request.param]()


def ids(documents: list[Document]) -> list[str]:
    return [one.page_content for one in documents]


@pytest.mark.parametrize("limit", [1, 2, 3])
async def test_k_is_the_limit_of_one_call_in_every_way_of_calling(retriever: Any, limit: int) -> None:
    everything = ids(retriever.invoke(QUERY))
    assert len(everything) == 4
    expected = everything[:limit]
    name = "top_n" if isinstance(retriever, TwoStageRetriever) else "top_k"
    for options in ({"k": limit}, {name: limit}, {"k": limit, name: limit}, {"k": limit, "verbose": False}):
        assert ids(retriever.invoke(QUERY, **options)) == expected
        assert ids(await retriever.ainvoke(QUERY, **options)) == expected
    assert [ids(one) for one in retriever.batch([QUERY, QUERY], k=limit)] == [expected] * 2
    assert [ids(one) for one in await retriever.abatch([QUERY], k=limit)] == [expected]
    assert [ids(one) for one in retriever.stream(QUERY, k=limit)] == [expected]
    assert ids(retriever.bind(k=limit).invoke(QUERY)) == expected
    assert ids(retriever.invoke(QUERY)) == everything


@pytest.mark.parametrize(
    "options", [{"k": 0}, {"k": -1}, {"k": True}, {"k": 1.5}, {"k": [3]}, {"kk": 3}, {"filter": {}}]
)
async def test_what_no_call_takes_is_told(retriever: Any, options: dict[str, Any]) -> None:
    name = next(iter(options))
    with pytest.raises(InvalidInputError, match="positive integer" if name == "k" else f"takes top_[nk] or k.*{name}"):
        retriever.invoke(QUERY, **options)
    with pytest.raises(InvalidInputError, match="positive integer" if name == "k" else "or k beside the query"):
        await retriever.ainvoke(QUERY, **options)


def test_two_names_of_one_limit_must_agree(retriever: Any) -> None:
    name = "top_n" if isinstance(retriever, TwoStageRetriever) else "top_k"
    with pytest.raises(InvalidInputError, match="mean the same"):
        retriever.invoke(QUERY, **{"k": 1, name: 2})


def test_the_old_name_of_the_reranker_still_works(models: dict[str, Any], compressor: RerankCompressor) -> None:
    first = FirstStageRetriever.from_documents(TEXTS, embedder=models["embedder"])
    with pytest.warns(DeprecationWarning, match="is called reranker now") as told:
        old = TwoStageRetriever(first_stage=first, compressor=compressor)  # type: ignore[call-arg]
    assert [Path(one.filename).name for one in told] == [Path(__file__).name]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        new = TwoStageRetriever(first_stage=first, reranker=compressor)
    assert old == new
    with pytest.warns(DeprecationWarning, match="is called reranker now"):
        assert old.compressor is compressor
    with pytest.raises(ValidationError, match="old name of reranker"):
        TwoStageRetriever(first_stage=first, reranker=compressor, compressor=compressor)  # type: ignore[call-arg]


def test_settings_of_the_reranker_count_in_the_retriever(models: dict[str, Any], compressor: RerankCompressor) -> None:
    for top_n in (None, 3, 4):
        two = TwoStageRetriever.from_vector_store(
            InMemoryVectorStore.from_texts(TEXTS, InstructionEmbeddings.from_embedder(models["embedder"])),
            reranker=compressor,
            top_n=top_n,
        )
        assert two.reranker is not None
        usual = len(two.invoke(QUERY))
        with two.reranker.using(top_n=1):
            assert len(two.invoke(QUERY)) == 1
            assert len(two.invoke(QUERY, k=2)) == 2
        with two.reranker.using(score_unit="probability"):
            found = two.invoke(QUERY)
            assert len(found) == usual
            assert all(one.metadata["relevance_score"] == one.metadata["relevance_probability"] for one in found)
    assert compressor.top_n == 3


def test_options_are_checked_when_they_are_assigned(retriever: Any) -> None:
    name = "top_n" if isinstance(retriever, TwoStageRetriever) else "top_k"
    with pytest.raises(ValidationError, match=name):
        setattr(retriever, name, 0)
    setattr(retriever, name, 2)
    assert len(retriever.invoke(QUERY)) == 2
    if isinstance(retriever, TwoStageRetriever):
        with pytest.raises(ValidationError, match="reranker must be a compressor"):
            retriever.reranker = 3  # type: ignore[assignment]


def format_documents(documents: list[Document]) -> str:
    return "\n".join(one.page_content for one in documents)


def answer(prompt: Any) -> str:
    return str(prompt.to_string())


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
async def test_chains_of_runnables(retriever: Any, is_async: bool) -> None:
    prompt = ChatPromptTemplate.from_template("{context}\n\n{question}")
    chain = (
        {"context": retriever | format_documents, "question": RunnablePassthrough()}
        | prompt
        | RunnableLambda(answer)
        | StrOutputParser()
    )
    said = await chain.ainvoke(QUERY) if is_async else chain.invoke(QUERY)
    assert QUERY in said
    assert TEXTS[0] in said
    assert len((retriever | {"n": len}).invoke(QUERY)) == 1
    assert ids((RunnableLambda(str.strip) | retriever).invoke(f" {QUERY} ")) == ids(retriever.invoke(QUERY))


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
async def test_a_compressor_in_a_chain(
    compressor: RerankCompressor, store: InMemoryVectorStore, is_async: bool
) -> None:
    retriever = store.as_retriever(search_kwargs={"k": 4})
    expected = ids(compressor.compress_documents(retriever.invoke(QUERY), QUERY))
    step = {"documents": retriever, "query": RunnablePassthrough()}
    for chain in (step | compressor, RunnablePassthrough() | step | compressor, step | compressor | list):
        found = await chain.ainvoke(QUERY) if is_async else chain.invoke(QUERY)
        assert ids(found) == expected
    assert (step | compressor).get_graph().nodes
    assert [ids(one) for one in (step | compressor).batch([QUERY] * 3)] == [expected] * 3


def test_a_compressor_behind_a_retriever_says_what_to_write(
    retriever: Any, compressor: RerankCompressor, store: InMemoryVectorStore
) -> None:
    told = r"base_compressor=compressor, base_retriever=retriever.*TwoStageRetriever\(first_stage=.*'documents':"
    for error in (TypeError, InvalidInputError):
        with pytest.raises(error, match=f"Retriever . RerankCompressor cannot work: .*{told}"):
            retriever | compressor
    pipeline = DocumentCompressorPipeline(transformers=[compressor])
    with pytest.raises(TypeError, match=told):
        retriever | pipeline
    for foreign in (store.as_retriever(), RunnableLambda(lambda _: [Document("Paris")])):
        with pytest.raises(InvalidInputError, match=f"RerankCompressor got list, not documents and query: .*{told}"):
            (foreign | compressor).invoke(QUERY)
    with pytest.raises(InvalidInputError, match=r"got the keys \['documents'\]"):
        ({"documents": store.as_retriever()} | compressor).invoke(QUERY)
    said = ContextualCompressionRetriever(base_compressor=compressor, base_retriever=retriever).invoke(QUERY)
    assert ids(TwoStageRetriever(first_stage=retriever, reranker=compressor).invoke(QUERY)) == ids(said)


def test_the_page_says_what_to_write_instead_of_a_pipe() -> None:
    page = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    (paragraph,) = re.findall(r"- \*\*Chains\*\*.*?(?=\n- )", page, flags=re.DOTALL)
    for line in (
        "`retriever | compressor`",
        "ContextualCompressionRetriever(base_compressor=",
        "RunnablePassthrough()",
    ):
        assert line in paragraph


def test_a_tool_of_an_agent(retriever: Any) -> None:
    tool = create_retriever_tool(retriever, "capitals", "Finds texts about capitals.")
    assert TEXTS[0] in tool.invoke({"query": QUERY})


def test_the_reranker_is_a_configurable_field(models: dict[str, Any], compressor: RerankCompressor) -> None:
    two = TwoStageRetriever.from_documents(TEXTS, **models, top_n=None)
    configurable = two.configurable_fields(reranker=ConfigurableField(id="r"), top_n=ConfigurableField(id="n"))
    for other in (compressor, models["reranker"], RerankCrossEncoder.from_reranker(models["reranker"])):
        assert len(configurable.invoke(QUERY, {"configurable": {"r": other, "n": 2}})) == 2
    assert len(configurable.invoke(QUERY)) == 4


async def test_a_field_that_a_call_configures_leaves_the_documents_where_they_are(retriever: Any) -> None:
    name = "top_n" if isinstance(retriever, TwoStageRetriever) else "top_k"
    everything = ids(retriever.invoke(QUERY))
    configurable = retriever.configurable_fields(**{name: ConfigurableField(id="limit")})
    config = {"configurable": {"limit": 2}}
    assert ids(configurable.invoke(QUERY, config)) == everything[:2]
    assert ids(await configurable.with_config(config).ainvoke(QUERY)) == everything[:2]
    assert ids(configurable.invoke(QUERY)) == everything
    assert "corpus" not in retriever.model_dump()
    assert TEXTS[0] not in repr(retriever)
