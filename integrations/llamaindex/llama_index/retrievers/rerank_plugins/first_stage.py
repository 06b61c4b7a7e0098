"""The core's first stages as a LlamaIndex retriever."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.callbacks import CallbackManager
from llama_index.core.ingestion import run_transformations
from llama_index.core.schema import BaseNode, MetadataMode, NodeWithScore, QueryBundle, TextNode, TransformComponent
from llama_index.embeddings.rerank_plugins import InstructionEmbedding

from rerank_plugins.embedder import Embedder
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.inputs import check_positive
from rerank_plugins.retrieval import FirstStage, Fusion, RetrieverName, build_first_stage
from rerank_plugins.retrieval.build import DEFAULT_EMBEDDER

__all__ = ["FirstStageRetriever"]


class FirstStageRetriever(BaseRetriever):
    """Retrieves with BM25, with vectors in FAISS, or with both fused.

    Args:
        first_stage: A core first stage whose document ids are node ids.
        nodes: Node id to node, of every node that it can find. They are returned as they are, not copied.
        top_k: Nodes returned at most.
        callback_manager: For LlamaIndex's callbacks; None has none.

    Raises:
        InvalidInputError: ``top_k`` is below 1.
    """

    def __init__(
        self,
        first_stage: FirstStage,
        nodes: Mapping[str, BaseNode],
        *,
        top_k: int = 50,
        callback_manager: CallbackManager | None = None,
    ) -> None:
        check_positive("top_k", top_k)
        super().__init__(callback_manager=callback_manager)
        self._first_stage, self._nodes, self._top_k = first_stage, dict(nodes), top_k

    @classmethod
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
            documents: Documents, nodes or texts. What is searched is their text for embedding models.
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
        nodes = _nodes_by_id(run_transformations(_nodes(documents), list(transformations or [])))
        first_stage = build_first_stage(
            {key: node.get_content(metadata_mode=MetadataMode.EMBED) for key, node in nodes.items()},
            retriever=retriever,
            embedder=embedder.embedder if isinstance(embedder, InstructionEmbedding) else embedder,
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


def _nodes(documents: Sequence[BaseNode | str]) -> list[BaseNode]:
    if isinstance(documents, (str, bytes)) or not isinstance(documents, Sequence):
        msg = f"documents must be a list of nodes, got {type(documents).__name__}; put a single one into a list"
        raise InvalidInputError(msg)
    nodes: list[BaseNode] = []
    for position, one in enumerate(documents):
        if not isinstance(one, (BaseNode, str)):
            msg = f"documents[{position}] must be a node, a document or a text, got {type(one).__name__}"
            raise InvalidInputError(msg)
        nodes.append(TextNode(text=one) if isinstance(one, str) else one)
    return nodes


def _nodes_by_id(nodes: Sequence[BaseNode]) -> dict[str, BaseNode]:
    by_id = {node.node_id: node for node in nodes}
    if len(by_id) < len(nodes):
        msg = f"{len(nodes)} nodes have only {len(by_id)} different ids; give each its own"
        raise InvalidInputError(msg)
    return by_id
