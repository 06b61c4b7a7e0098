"""What both retrievers take, and how LlamaIndex's nodes are kept in a folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import llama_index.postprocessor.rerank_plugins as postprocessors
from llama_index.core.schema import BaseNode, MetadataMode, TransformComponent
from llama_index.core.storage.docstore.utils import doc_to_json, json_to_doc
from llama_index.embeddings.rerank_plugins import InstructionEmbedding
from llama_index.postprocessor.rerank_plugins import BaseRerankPostprocessor, RerankPostprocessor

from rerank_plugins.adapters.arguments import OWN_ARGUMENTS
from rerank_plugins.adapters.checks import check_kind
from rerank_plugins.adapters.retrievers import RetrieverParts
from rerank_plugins.embedder import Embedder
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.reranker import Reranker
from rerank_plugins.retrieval.attached import as_json

__all__ = ["OWN", "PARTS", "AnyEmbedder", "AnyReranker", "checked_transformations"]

OWN = (*OWN_ARGUMENTS, "nodes", "transformations", "callback_manager", "verbose", "vector_store", "embed_model")

AnyReranker = BaseRerankPostprocessor | Reranker | str | Path
AnyEmbedder = InstructionEmbedding | Embedder | str | Path


def _entry(_: str, node: BaseNode) -> dict[str, Any]:
    """Return a node as LlamaIndex's document stores keep it, or raise InvalidInputError if it came back changed."""
    _ = as_json(node.metadata, owner=f"the metadata of node {node.node_id!r}")
    try:
        entry: dict[str, Any] = json.loads(json.dumps(doc_to_json(node)))
        same = type(json_to_doc(entry)) is type(node) and json_to_doc(entry) == node
    except (TypeError, ValueError, KeyError, RecursionError) as error:
        msg = f"node {node.node_id!r} ({type(node).__name__}) cannot be saved as JSON ({error}); index a TextNode of it"
        raise InvalidInputError(msg) from error
    if not same:
        msg = f"node {node.node_id!r} ({type(node).__name__}) would come back changed from JSON; index a TextNode of it"
        raise InvalidInputError(msg)
    return entry


PARTS: RetrieverParts[BaseRerankPostprocessor, BaseNode] = RetrieverParts(
    name="llamaindex",
    base=BaseRerankPostprocessor,
    any_model=RerankPostprocessor,
    classes={name: getattr(postprocessors, name) for name in postprocessors.__all__},
    embeddings=InstructionEmbedding,
    accepted="a postprocessor",
    passed="postprocessor",
    other_reranker="another postprocessor goes into a query engine's node_postprocessors",
    other_embedder=(
        "an embedding",
        "With another, build an index and pass its retriever: TwoStageRetriever(index.as_retriever(...), ...)",
    ),
    text_of=lambda node: node.get_content(metadata_mode=MetadataMode.EMBED),
    entry_of=_entry,
    item_of=json_to_doc,
)


def checked_transformations(transformations: object) -> list[TransformComponent]:
    """Return transformations as a list, or raise InvalidInputError for anything but a list of them."""
    if transformations is None:
        return []
    check_kind("transformations", transformations, (list, tuple), expected="a list of transformations, or None")
    for one in transformations:  # type: ignore[attr-defined]
        if not callable(one):
            msg = f"transformations must hold components such as SentenceSplitter(), got {type(one).__name__}"
            raise InvalidInputError(msg)
    return list(transformations)  # type: ignore[call-overload,no-any-return]
