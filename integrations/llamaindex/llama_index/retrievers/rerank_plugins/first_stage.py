"""The core's first stages as a LlamaIndex retriever."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from llama_index.core.callbacks import CallbackManager
from llama_index.core.ingestion import run_transformations
from llama_index.core.schema import BaseNode, MetadataMode, NodeWithScore, QueryBundle, TransformComponent
from llama_index.postprocessor.rerank_plugins import BaseRerankPostprocessor
from llama_index.retrievers.rerank_plugins.growing import GrowingRetriever
from llama_index.retrievers.rerank_plugins.nodes import listed_nodes, nodes_by_id, with_text
from llama_index.retrievers.rerank_plugins.parts import (
    OWN,
    PARTS,
    AnyEmbedder,
    check_callbacks,
    checked_transformations,
)

from rerank_plugins.adapters.arguments import check_new_ids
from rerank_plugins.adapters.checks import check_kind, checked_count
from rerank_plugins.adapters.corpus import Corpus
from rerank_plugins.adapters.retrievers import OpenedFolder
from rerank_plugins.checks.arguments import checked_call
from rerank_plugins.retrieval import FirstStage, Fusion, RetrieverName
from rerank_plugins.retrieval.build import DEFAULT_EMBEDDER
from rerank_plugins.retrieval.first_stage import AddingLock
from rerank_plugins.retrieval.saved import told_if_damaged

__all__ = ["FirstStageRetriever"]


class FirstStageRetriever(GrowingRetriever):
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
        check_kind("first_stage", first_stage, FirstStage, expected="a core first stage, with search and asearch")
        check_kind("nodes", nodes, Mapping, expected="a mapping of node ids to nodes")
        for node in nodes.values():
            check_kind("each of nodes", node, BaseNode, expected="a node")
        check_callbacks(callback_manager)
        super().__init__(callback_manager=callback_manager)
        self._corpus = Corpus(first_stage, {key: with_text(node) for key, node in nodes.items()}, None)
        self._adding = AddingLock()

    @classmethod
    @checked_call(own=OWN)
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
        model = PARTS.embedder_of(embedder)
        nodes = nodes_by_id(run_transformations(listed_nodes(documents), checked_transformations(transformations)))
        options: dict[str, Any] = {"faiss_index": faiss_index, "fusion": fusion, "weights": weights}
        corpus = Corpus.built(nodes, _texts(nodes), retriever=retriever, embedder=model, **options)
        return cls._over(corpus, top_k=top_k, callback_manager=callback_manager)

    @classmethod
    @checked_call(own=OWN)
    def from_persist_dir(
        cls,
        persist_dir: str | Path,
        *,
        embedder: AnyEmbedder | None = None,
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
        return cls._restored(PARTS.open_folder(persist_dir), embedder, callback_manager)

    @classmethod
    def _restored(
        cls,
        opened: OpenedFolder[BaseRerankPostprocessor, BaseNode],
        embedder: object,
        callback_manager: CallbackManager | None,
    ) -> FirstStageRetriever:
        corpus = opened.corpus(embedder)
        with told_if_damaged(opened.saved.folder):
            return cls._over(corpus, top_k=opened.saved.selection["top_k"], callback_manager=callback_manager)

    @classmethod
    def _over(
        cls, corpus: Corpus[BaseNode], *, top_k: int, callback_manager: CallbackManager | None
    ) -> FirstStageRetriever:
        made = cls(corpus.first_stage, corpus.items, top_k=top_k, callback_manager=callback_manager)
        made._corpus = corpus
        return made

    def _grow(self, added: dict[str, BaseNode]) -> None:
        with self._adding:
            check_new_ids(added, self._corpus.items)
            self._corpus = self._corpus.grown(added, _texts(added))

    def _indexed(self, otherwise: str) -> FirstStageRetriever:
        return self

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return _scored(self._corpus.search(query_bundle.query_str, top_k=self._top_k))

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return _scored(await self._corpus.asearch(query_bundle.query_str, top_k=self._top_k))


def _texts(nodes: Mapping[str, BaseNode]) -> dict[str, str]:
    return {key: node.get_content(metadata_mode=MetadataMode.EMBED) for key, node in nodes.items()}


def _scored(found: Sequence[tuple[BaseNode, float]]) -> list[NodeWithScore]:
    return [NodeWithScore(node=node, score=score) for node, score in found]
