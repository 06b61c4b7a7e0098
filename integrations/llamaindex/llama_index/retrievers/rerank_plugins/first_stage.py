"""The core's first stages as a LlamaIndex retriever."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from llama_index.core.callbacks import CallbackManager
from llama_index.core.ingestion import run_transformations
from llama_index.core.schema import BaseNode, MetadataMode, NodeWithScore, QueryBundle, TransformComponent
from llama_index.embeddings.rerank_plugins import InstructionEmbedding
from llama_index.retrievers.rerank_plugins.arguments import (
    OWN,
    check_callbacks,
    checked_embedder,
    checked_transformations,
)
from llama_index.retrievers.rerank_plugins.copied import CopiedRetriever
from llama_index.retrievers.rerank_plugins.nodes import listed_nodes, nodes_by_id, with_text

from rerank_plugins.adapting import check_kind, checked_count
from rerank_plugins.arguments import checked_call
from rerank_plugins.embedder import Embedder
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.retrieval import FirstStage, Fusion, RetrieverName, build_first_stage
from rerank_plugins.retrieval.build import DEFAULT_EMBEDDER

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
        self._first_stage = first_stage
        self._nodes = {key: with_text(node) for key, node in nodes.items()}

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
        first_stage = build_first_stage(
            {key: node.get_content(metadata_mode=MetadataMode.EMBED) for key, node in nodes.items()},
            retriever=retriever,
            embedder=model,
            faiss_index=faiss_index,
            fusion=fusion,
            weights=weights,
        )
        return cls(first_stage, nodes, top_k=top_k, callback_manager=callback_manager)

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return self._found(self._first_stage.search(query_bundle.query_str, top_k=self._top_k))

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return self._found(await self._first_stage.asearch(query_bundle.query_str, top_k=self._top_k))

    def _found(self, scores: Mapping[str, float]) -> list[NodeWithScore]:
        unknown = next((key for key in scores if key not in self._nodes), None)
        if unknown is not None:
            msg = f"the first stage found {unknown!r}, which nodes does not have; pass the nodes that were indexed"
            raise InvalidInputError(msg)
        return [NodeWithScore(node=self._nodes[key], score=score) for key, score in scores.items()]
