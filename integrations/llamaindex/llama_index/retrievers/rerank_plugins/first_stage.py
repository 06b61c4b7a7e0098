"""The core's first stages as a LlamaIndex retriever."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.callbacks import CallbackManager
from llama_index.core.ingestion import run_transformations
from llama_index.core.schema import BaseNode, NodeWithScore, QueryBundle, TransformComponent
from llama_index.postprocessor.rerank_plugins.options import check_callbacks
from llama_index.retrievers.rerank_plugins.nodes import listed_nodes, nodes_by_id, own_copy, with_text
from llama_index.retrievers.rerank_plugins.parts import OWN, PARTS, AnyEmbedder, checked_transformations

from rerank_plugins.adapters.checks import check_kind, checked_count
from rerank_plugins.adapters.copies import SharedModels
from rerank_plugins.adapters.corpus import Corpus, async_version
from rerank_plugins.adapters.saved import open_folder, write_retriever
from rerank_plugins.checks.arguments import checked_call
from rerank_plugins.retrieval import FirstStage, Fusion, RetrieverName
from rerank_plugins.retrieval.build import DEFAULT_EMBEDDER, AnyTokenVectorStore
from rerank_plugins.retrieval.first_stage import AddingLock, check_new_ids

__all__ = ["FirstStageRetriever", "GrowingRetriever"]


class GrowingRetriever(SharedModels, BaseRetriever):
    """A retriever that takes more nodes, and that can be kept in a folder; made by ``from_documents``.

    A copy, deep or not, shares the loaded models and reports to the same callbacks; a deep one has an index and nodes
    of its own. A pickle holds no callbacks, as those of LlamaIndex's other components do not: unpickling opens the
    models again and starts with a new callback manager.
    """

    _not_copied = {"callback_manager": CallbackManager}  # noqa: RUF012 - typed by the base class

    @checked_call(unchecked=OWN)
    def insert_nodes(self, nodes: Sequence[BaseNode]) -> list[str]:
        """Index more nodes, documents or texts, whole, and return their ids; see :meth:`Corpus.grown`.

        Raises:
            InvalidInputError: ``nodes`` holds something else, an id is there already, or the retriever or its first
                stage was not made by ``from_documents``.
            ScoringError: The embedder returned NaN or infinity.
        """
        stage = self._indexed(
            "nodes cannot be added to it here; add them to its index, such as index.insert_nodes(...)"
        )
        added = nodes_by_id(listed_nodes(nodes, name="nodes"))
        stage._grow(added)
        return list(added)

    ainsert_nodes = async_version(insert_nodes)

    @checked_call(unchecked=OWN)
    def add_documents(
        self, documents: Sequence[BaseNode | str], *, transformations: Sequence[TransformComponent] | None = None
    ) -> list[str]:
        """Run ``transformations`` over documents, nodes or texts, and insert the nodes; see :meth:`insert_nodes`.

        Those given to ``from_documents`` are not kept.
        """
        nodes = run_transformations(listed_nodes(documents), checked_transformations(transformations))
        return self.insert_nodes(list(nodes))

    aadd_documents = async_version(add_documents)

    @checked_call()
    def persist(self, persist_dir: str | Path) -> Path:
        """Write nodes, vectors and settings into a folder, and return it; see :mod:`rerank_plugins.adapters.saved`.

        Args:
            persist_dir: New, empty, or an earlier persisted retriever, which is replaced.

        Raises:
            InvalidInputError: A node is not plain JSON, the folder cannot be written, or the retriever or its first
                stage was not made by ``from_documents``.
        """
        stage = self._indexed("it cannot be persisted here; persist its index, and make this retriever over it again")
        return write_retriever(PARTS, persist_dir, stage._corpus, top_k=stage._top_k, **self._kept())

    def _indexed(self, otherwise: str) -> FirstStageRetriever:
        """Return what holds the nodes, or raise InvalidInputError with what to do ``otherwise``."""
        raise NotImplementedError

    def _kept(self) -> dict[str, Any]:
        """Return what a folder keeps of the second stage."""
        return {}


class FirstStageRetriever(GrowingRetriever):
    """Retrieves with BM25, with vectors in FAISS, with both fused, or with a ColBERT's token vectors.

    Args:
        first_stage: A core first stage whose document ids are node ids.
        nodes: Node id to node, of every node that it can find. Copies come back, which may be changed; of a document,
            a text node with its id, text and metadata, and with the document as its source.
        top_k: Nodes returned at most.
        callback_manager: For LlamaIndex's callbacks; None has none.

    Raises:
        InvalidInputError: ``top_k`` is below 1, or an argument is of another kind.
    """

    @checked_call(unchecked=OWN)
    def __init__(
        self,
        first_stage: FirstStage,
        nodes: Mapping[str, BaseNode],
        *,
        top_k: int = 50,
        callback_manager: CallbackManager | None = None,
    ) -> None:
        self._top_k = checked_count("top_k", top_k)
        check_kind("first_stage", first_stage, FirstStage, expected="a core first stage, with search and asearch")
        check_kind("nodes", nodes, Mapping, expected="a mapping of node ids to nodes")
        for node in nodes.values():
            check_kind("each of nodes", node, BaseNode, expected="a node")
        check_callbacks(callback_manager)
        super().__init__(callback_manager=callback_manager)
        self._corpus = Corpus(first_stage, {key: with_text(node) for key, node in nodes.items()}, None)
        self._adding = AddingLock()

    @classmethod
    @checked_call(unchecked=OWN)
    def from_documents(
        cls,
        documents: Sequence[BaseNode | str],
        *,
        retriever: RetrieverName = "hybrid",
        embedder: AnyEmbedder = DEFAULT_EMBEDDER,
        top_k: int = 50,
        transformations: Sequence[TransformComponent] | None = None,
        faiss_index: str | None = "Flat",
        fusion: Fusion = "rrf",
        weights: Sequence[float] | None = None,
        vectors: AnyTokenVectorStore | None = None,
        callback_manager: CallbackManager | None = None,
    ) -> FirstStageRetriever:
        """Index documents, nodes or texts, and return a retriever over them.

        ``retriever``, ``faiss_index``, ``fusion``, ``weights`` and ``vectors`` are those of
        :func:`rerank_plugins.retrieval.build_first_stage`, whose errors are raised here too. ``embedder`` may also be
        an embedding of this package. ``transformations`` run over the documents first, such as a splitter; None indexes
        them whole. What is searched is a node's text for embedding models.

        Raises:
            InvalidInputError: ``documents`` holds something else, two nodes have one id, or an option cannot work.
        """
        check_callbacks(callback_manager)
        top_k = checked_count("top_k", top_k)
        nodes = nodes_by_id(run_transformations(listed_nodes(documents), checked_transformations(transformations)))
        corpus = PARTS.indexed(
            nodes,
            retriever=retriever,
            embedder=embedder,
            faiss_index=faiss_index,
            fusion=fusion,
            weights=weights,
            vectors=vectors,
        )
        return cls._over(corpus, top_k, callback_manager)

    @classmethod
    @checked_call(unchecked=OWN)
    def from_persist_dir(
        cls,
        persist_dir: str | Path,
        *,
        embedder: AnyEmbedder | None = None,
        callback_manager: CallbackManager | None = None,
    ) -> FirstStageRetriever:
        """Return a retriever that :meth:`persist` wrote, or the first stage of one; no text is embedded again.

        ``embedder`` is as in :meth:`from_documents`. None opens the one that the vectors were made with; another one is
        refused.

        Raises:
            InvalidInputError: The folder holds something else or is damaged, or the embedder is another one.
            ModelError: The embedder cannot be loaded.
        """
        check_callbacks(callback_manager)
        return cls._over(*open_folder(PARTS, persist_dir).first_stage(embedder), callback_manager)

    @classmethod
    def _over(
        cls, corpus: Corpus[BaseNode], top_k: int, callback_manager: CallbackManager | None
    ) -> FirstStageRetriever:
        made = cls(corpus.first_stage, corpus.items, top_k=top_k, callback_manager=callback_manager)
        made._corpus = corpus
        return made

    def _grow(self, added: dict[str, BaseNode]) -> None:
        with self._adding:
            check_new_ids(added, self._corpus.items)
            self._corpus = PARTS.grown(self._corpus, added)

    def _indexed(self, otherwise: str) -> FirstStageRetriever:
        return self

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return _scored(self._corpus.search(query_bundle.query_str, top_k=self._top_k))

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return _scored(await self._corpus.asearch(query_bundle.query_str, top_k=self._top_k))


def _scored(found: Sequence[tuple[BaseNode, float]]) -> list[NodeWithScore]:
    return [NodeWithScore(node=own_copy(node), score=score) for node, score in found]
