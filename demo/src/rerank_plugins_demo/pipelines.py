"""The same two-stage retrieval in both frameworks, with the models that the process already holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from rerank_plugins.checks.optional import import_extra
from rerank_plugins.evaluation import Document

__all__ = ["Hit", "LangChainPipeline", "LlamaIndexPipeline", "ModelChoice", "Pipeline", "check_extras"]

_NEEDED = (
    "ir_measures",
    "bm25s",
    "matplotlib",
    "llama_index.core",
    "llama_index.embeddings.rerank_plugins",
    "llama_index.postprocessor.rerank_plugins",
    "langchain_core.vectorstores",
    "langchain_classic.retrievers",
    "langchain_rerank_plugins",
)


def check_extras() -> None:
    """Import everything that the demonstration needs, so that what is missing is told before any work.

    Raises:
        MissingExtraError: Something is not installed.
    """
    for module in _NEEDED:
        import_extra(module, extra="demo")


@dataclass(frozen=True, slots=True)
class Hit:
    """A document that a pipeline returned, with its score."""

    document_id: str
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelChoice:
    """What both frameworks are given.

    Attributes:
        reranker: The reranker's name.
        embedder: The embedder's name.
        device: Where they run; None chooses.
        top_k: Documents that the first stage retrieves.
        top_n: Documents that are left after reranking.
    """

    reranker: str
    embedder: str
    device: str | None
    top_k: int
    top_n: int


class Pipeline(Protocol):
    """A framework's retrieval, with and without reranking."""

    name: str

    def before(self, query: str) -> list[Hit]:
        """Return what the first stage finds."""
        ...

    def after(self, query: str) -> list[Hit]:
        """Return what is left after reranking, best first."""
        ...


class LlamaIndexPipeline:
    """A ``VectorStoreIndex`` and two query engines over it; one has the rerank postprocessor.

    The engines answer without a language model (``NoText``): the answer is its sources.

    Args:
        documents: What to index.
        choice: The models and depths.

    Raises:
        MissingExtraError: LlamaIndex or the adapter is not installed.
    """

    name = "LlamaIndex query engine"

    def __init__(self, documents: Mapping[str, Document], choice: ModelChoice) -> None:
        core = import_extra("llama_index.core", extra="demo")
        schema = import_extra("llama_index.core.schema", extra="demo")
        llms = import_extra("llama_index.core.llms", extra="demo")
        synthesizers = import_extra("llama_index.core.response_synthesizers.no_text", extra="demo")
        embeddings = import_extra("llama_index.embeddings.rerank_plugins", extra="demo")
        postprocessors = import_extra("llama_index.postprocessor.rerank_plugins", extra="demo")
        reranker = postprocessors.RerankPostprocessor(model=choice.reranker, device=choice.device, top_n=choice.top_n)
        index = core.VectorStoreIndex(
            [schema.TextNode(id_=key, text=document.contents) for key, document in documents.items()],
            embed_model=embeddings.InstructionEmbedding(model_name=choice.embedder, device=choice.device),
        )
        llm = llms.MockLLM()
        # Made here because response_mode="no_text" forgets the llm it is given and looks for a default one.
        sources_only = synthesizers.NoText(llm=llm)
        options = {"llm": llm, "response_synthesizer": sources_only, "similarity_top_k": choice.top_k}
        self._plain = index.as_query_engine(**options)
        self._reranking = index.as_query_engine(**options, node_postprocessors=[reranker])

    def before(self, query: str) -> list[Hit]:
        """Return the sources of the engine without reranking."""
        return self._sources(self._plain, query)

    def after(self, query: str) -> list[Hit]:
        """Return the sources of the engine with reranking."""
        return self._sources(self._reranking, query)

    @staticmethod
    def _sources(engine: Any, query: str) -> list[Hit]:
        return [Hit(one.node.node_id, float(one.score)) for one in engine.query(query).source_nodes]


class LangChainPipeline:
    """An ``InMemoryVectorStore`` retriever, and a ``ContextualCompressionRetriever`` around it.

    Args:
        documents: What to index.
        choice: The models and depths.

    Raises:
        MissingExtraError: LangChain or the adapter is not installed.
    """

    name = "LangChain ContextualCompressionRetriever"

    def __init__(self, documents: Mapping[str, Document], choice: ModelChoice) -> None:
        schema = import_extra("langchain_core.documents", extra="demo")
        stores = import_extra("langchain_core.vectorstores", extra="demo")
        retrievers = import_extra("langchain_classic.retrievers", extra="demo")
        adapter = import_extra("langchain_rerank_plugins", extra="demo")
        embeddings = adapter.InstructionEmbeddings(model=choice.embedder, device=choice.device)
        compressor = adapter.RerankCompressor(model=choice.reranker, device=choice.device, top_n=choice.top_n)
        self._store = stores.InMemoryVectorStore(embedding=embeddings)
        self._store.add_documents(
            [schema.Document(id=key, page_content=document.contents) for key, document in documents.items()]
        )
        self._top_k = choice.top_k
        self._reranking = retrievers.ContextualCompressionRetriever(
            base_compressor=compressor,
            base_retriever=self._store.as_retriever(search_kwargs={"k": choice.top_k}),
        )

    def before(self, query: str) -> list[Hit]:
        """Return what the vector store finds."""
        found = self._store.similarity_search_with_score(query, k=self._top_k)
        return [Hit(document.id, float(score)) for document, score in found]

    def after(self, query: str) -> list[Hit]:
        """Return what the compression retriever keeps."""
        found = self._reranking.invoke(query)
        return [Hit(document.id, float(document.metadata["relevance_score"])) for document in found]
