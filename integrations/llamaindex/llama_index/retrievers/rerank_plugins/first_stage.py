"""The core's first stages as a LlamaIndex retriever."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

from llama_index.core.callbacks import CallbackManager
from llama_index.core.ingestion import run_transformations
from llama_index.core.schema import BaseNode, MetadataMode, NodeWithScore, QueryBundle, TransformComponent
from llama_index.embeddings.rerank_plugins import InstructionEmbedding
from llama_index.postprocessor.rerank_plugins import BaseRerankPostprocessor
from llama_index.retrievers.rerank_plugins.arguments import (
    OWN,
    check_callbacks,
    checked_embedder,
    checked_transformations,
)
from llama_index.retrievers.rerank_plugins.copied import CopiedRetriever
from llama_index.retrievers.rerank_plugins.nodes import listed_nodes, nodes_by_id, with_text
from llama_index.retrievers.rerank_plugins.saved import Corpus, open_folder, opened_stage, write

from rerank_plugins.adapting import check_kind, checked_count
from rerank_plugins.checks.arguments import checked_call
from rerank_plugins.embedder import Embedder
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.retrieval import FirstStage, Fusion, RetrieverName, build_first_stage
from rerank_plugins.retrieval.attached import Attached
from rerank_plugins.retrieval.build import DEFAULT_EMBEDDER
from rerank_plugins.retrieval.first_stage import AddingLock, grown_stage
from rerank_plugins.retrieval.saved import SavedRetriever, told_if_damaged

__all__ = ["FirstStageRetriever"]


class FirstStageRetriever(CopiedRetriever):
    """Retrieves with BM25, with vectors in FAISS, or with both fused.

    Args:
        first_stage: A core first stage whose document ids are node ids.
        nodes: Node id to node, of every node that it can find. Text nodes are returned as they are, not copied; of a
            document, a text node with its id, text and metadata comes back, with the document as its source.
        top_k: Nodes returned at most.
        callback_manager: For LlamaIndex's callbacks; None has none.

    Raises:
        InvalidInputError: ``top_k`` is below 1, or an argument is of another kind.
    """

    @checked_call(own=OWN)
    def __init__(
        self,
        first_stage: FirstStage,
        nodes: Mapping[str, BaseNode],
        *,
        top_k: int = 50,
        callback_manager: CallbackManager | None = None,
    ) -> None:
        self._top_k = checked_count("top_k", top_k)
        check_kind("first_stage", first_stage, FirstStage, told="a core first stage, with search and asearch")
        check_kind("nodes", nodes, Mapping, told="a mapping of node ids to nodes")
        for node in nodes.values():
            check_kind("each of nodes", node, BaseNode, told="a node")
        check_callbacks(callback_manager)
        super().__init__(callback_manager=callback_manager)
        # One value, so that a search never sees nodes of one moment with an index of another.
        self._corpus: Corpus = (first_stage, {key: with_text(node) for key, node in nodes.items()}, None)
        self._adding = AddingLock()

    @classmethod
    @checked_call(own=OWN)
    def from_documents(
        cls,
        documents: Sequence[BaseNode | str],
        *,
        retriever: RetrieverName = "hybrid",
        embedder: InstructionEmbedding | Embedder | str | Path = DEFAULT_EMBEDDER,
        top_k: int = 50,
        transformations: Sequence[TransformComponent] | None = None,
        faiss_index: str | None = "Flat",
        fusion: Fusion = "rrf",
        weights: Sequence[float] | None = None,
        callback_manager: CallbackManager | None = None,
    ) -> FirstStageRetriever:
        """Index documents; the options are those of :func:`rerank_plugins.retrieval.build_first_stage`.

        Args:
            documents: Documents, nodes or texts. What is searched is their text for embedding models; for what comes
                back of a document, see the constructor.
            retriever: ``bm25``, ``dense`` or ``hybrid``.
            embedder: An embedding of this package, a core embedder, or a model's name.
            top_k: Nodes returned at most.
            transformations: Run over the documents first, such as a splitter; None indexes them whole.
            faiss_index: ``Flat`` is exact; None needs no FAISS.
            fusion: ``rrf`` or ``weighted``.
            weights: Of the dense stage and of BM25 in a hybrid; None counts both alike.
            callback_manager: For LlamaIndex's callbacks; None has none.

        Raises:
            InvalidInputError: ``documents`` holds something else, two nodes have one id, or an option cannot work.
            MissingExtraError: bm25s or FAISS is not installed.
            ModelError: The embedder cannot be loaded.
        """
        check_callbacks(callback_manager)
        top_k = checked_count("top_k", top_k)
        model = checked_embedder(embedder)
        nodes = nodes_by_id(run_transformations(listed_nodes(documents), checked_transformations(transformations)))
        texts = _texts(nodes)
        first_stage = build_first_stage(
            texts,
            retriever=retriever,
            embedder=model,
            faiss_index=faiss_index,
            fusion=fusion,
            weights=weights,
        )
        made = cls(first_stage, nodes, top_k=top_k, callback_manager=callback_manager)
        made._corpus = (first_stage, nodes, texts)
        return made

    @checked_call(own=OWN)
    def insert_nodes(self, nodes: Sequence[BaseNode]) -> list[str]:
        """Index more nodes and return their ids. Calls that search meanwhile find all of them or none.

        Dense stages embed the new nodes only; BM25 indexes all again, so insert many at a time.

        Args:
            nodes: Nodes, documents or texts, which are indexed whole.

        Raises:
            InvalidInputError: ``nodes`` holds something else, an id is there already, or this retriever was made
                around a first stage and not by :meth:`from_documents`.
            ScoringError: The embedder returned NaN or infinity.
        """
        added = nodes_by_id(listed_nodes(nodes, name="nodes"))
        with self._adding:
            first_stage, known, texts = self._corpus
            _check_new(added, known)
            if texts is None:
                msg = (
                    "this retriever was made around a first stage, so which texts of nodes are indexed is not known; "
                    "make it with FirstStageRetriever.from_documents(...) to insert nodes"
                )
                raise InvalidInputError(msg)
            if added:
                new = _texts(added)
                self._corpus = (grown_stage(first_stage, new), {**known, **added}, {**texts, **new})
        return list(added)

    @checked_call(own=OWN)
    async def ainsert_nodes(self, nodes: Sequence[BaseNode]) -> list[str]:
        """Do what :meth:`insert_nodes` does, without blocking the event loop."""
        return await asyncio.to_thread(self.insert_nodes, nodes)

    @checked_call(own=OWN)
    def add_documents(
        self, documents: Sequence[BaseNode | str], *, transformations: Sequence[TransformComponent] | None = None
    ) -> list[str]:
        """Split documents as :meth:`from_documents` does, and insert their nodes; see :meth:`insert_nodes`.

        Args:
            documents: Documents, nodes or texts.
            transformations: Run over the documents first; those given to :meth:`from_documents` are not kept.
        """
        return self.insert_nodes(
            list(run_transformations(listed_nodes(documents), checked_transformations(transformations)))
        )

    @checked_call(own=OWN)
    async def aadd_documents(
        self, documents: Sequence[BaseNode | str], *, transformations: Sequence[TransformComponent] | None = None
    ) -> list[str]:
        """Do what :meth:`add_documents` does, without blocking the event loop."""
        return await asyncio.to_thread(self.add_documents, documents, transformations=transformations)

    @checked_call()
    def persist(self, persist_dir: str | Path) -> Path:
        """Write nodes, vectors and settings into a folder, and return it.

        The folder is complete or not there at all, and holds nothing that runs code. The embedder is kept by name
        and settings. The core's ``TwoStageRetriever.load`` reads it too.

        Args:
            persist_dir: New, empty, or an earlier persisted retriever, which is replaced.

        Raises:
            InvalidInputError: A node is not plain JSON, the folder cannot be written, or this retriever was made
                around a first stage and not by :meth:`from_documents`.
        """
        return self._persist(persist_dir)

    @classmethod
    @checked_call(own=OWN)
    def from_persist_dir(
        cls,
        persist_dir: str | Path,
        *,
        embedder: InstructionEmbedding | Embedder | str | Path | None = None,
        callback_manager: CallbackManager | None = None,
    ) -> FirstStageRetriever:
        """Return a retriever that :meth:`persist` wrote, or the first stage of a ``TwoStageRetriever``.

        Args:
            persist_dir: The folder. No text is embedded again.
            embedder: An embedding of this package, a core embedder, or a model's name; None opens the one that the
                vectors were made with. Another one is refused.
            callback_manager: For LlamaIndex's callbacks; None has none.

        Raises:
            InvalidInputError: The folder holds something else or is damaged, or the embedder is another one.
            ModelError: The embedder cannot be loaded.
        """
        check_callbacks(callback_manager)
        return cls._restored(*open_folder(persist_dir), embedder, callback_manager)

    @classmethod
    def _restored(
        cls, saved: SavedRetriever, attached: Attached, embedder: object, callback_manager: CallbackManager | None
    ) -> FirstStageRetriever:
        corpus = opened_stage(saved, attached, embedder)
        with told_if_damaged(saved.folder):
            made = cls(corpus[0], corpus[1], top_k=saved.selection["top_k"], callback_manager=callback_manager)
        made._corpus = corpus
        return made

    def _persist(
        self, persist_dir: str | Path, *, top_n: int | None = None, reranker: BaseRerankPostprocessor | None = None
    ) -> Path:
        return write(persist_dir, self._corpus, top_k=self._top_k, top_n=top_n, reranker=reranker)

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        first_stage, nodes, _ = self._corpus
        return _found(first_stage.search(query_bundle.query_str, top_k=self._top_k), nodes)

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        first_stage, nodes, _ = self._corpus
        return _found(await first_stage.asearch(query_bundle.query_str, top_k=self._top_k), nodes)


def _texts(nodes: Mapping[str, BaseNode]) -> dict[str, str]:
    return {key: node.get_content(metadata_mode=MetadataMode.EMBED) for key, node in nodes.items()}


def _check_new(added: Mapping[str, BaseNode], known: Mapping[str, BaseNode]) -> None:
    there = [key for key in added if key in known]
    if there:
        msg = f"{len(there)} of the ids are there already, the first is {there[0]!r}; give each node its own id"
        raise InvalidInputError(msg)


def _found(scores: Mapping[str, float], nodes: Mapping[str, BaseNode]) -> list[NodeWithScore]:
    unknown = next((key for key in scores if key not in nodes), None)
    if unknown is not None:
        msg = f"the first stage found {unknown!r}, which nodes does not have; pass the nodes that were indexed"
        raise InvalidInputError(msg)
    return [NodeWithScore(node=nodes[key], score=score) for key, score in scores.items()]
