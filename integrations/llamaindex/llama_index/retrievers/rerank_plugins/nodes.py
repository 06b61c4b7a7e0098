"""What is indexed and what comes back: nodes whose text can be read, whatever kind was given."""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy
from typing import Any

from llama_index.core.schema import (
    BaseNode,
    ImageNode,
    MediaResource,
    MetadataMode,
    Node,
    NodeRelationship,
    NodeWithScore,
    RelatedNodeInfo,
    TextNode,
)

from rerank_plugins.adapters.checks import check_list
from rerank_plugins.adapters.containers import own_containers
from rerank_plugins.errors import InvalidInputError

__all__ = ["listed_nodes", "nodes_by_id", "own_copy", "readable", "with_text"]

_COMMON = Node.model_fields.keys() & TextNode.model_fields.keys()
"""What a document and a text node both have: id, metadata, how it is shown and to whom, relationships, embedding."""


def listed_nodes(documents: object, *, name: str = "documents") -> list[BaseNode]:
    """Return documents, nodes and texts as nodes, or raise InvalidInputError for anything else."""
    check_list(name, documents, (BaseNode, str), plural="nodes", expected="a node, a document or a text")
    return [TextNode(text=one) if isinstance(one, str) else one for one in documents]  # type: ignore[attr-defined]


def nodes_by_id(nodes: Iterable[BaseNode]) -> dict[str, BaseNode]:
    """Return node id to a copy of the node, or raise InvalidInputError if two nodes have one id."""
    listed = list(nodes)
    by_id = {node.node_id: with_text(node) for node in listed}
    if len(by_id) < len(listed):
        msg = f"{len(listed)} nodes have only {len(by_id)} different ids; give each its own"
        raise InvalidInputError(msg)
    return by_id


def readable(found: Iterable[NodeWithScore]) -> list[NodeWithScore]:
    """Return results of a retriever with nodes whose ``text`` can be read."""
    return [
        one.model_copy(update={"node": with_text(one.node)}) if isinstance(one.node, Node) else one for one in found
    ]


def own_copy(node: BaseNode) -> BaseNode:
    """Return a copy of a node that may be written to: LlamaIndex's postprocessors change nodes in place.

    Text, metadata, excluded keys and relationships are its own; what metadata hold beside containers is shared.
    """
    own = ("metadata", "excluded_embed_metadata_keys", "excluded_llm_metadata_keys", "relationships")
    return node.model_copy(update={name: own_containers(getattr(node, name)) for name in own})


def with_text(node: BaseNode) -> BaseNode:
    """Return a document as the text node that LlamaIndex's splitters make of it, and a copy of another node.

    ``NodeWithScore.text`` and much code beside it reads text nodes only, and retrievers return nothing else. The node
    keeps the document's id, text, metadata and embedding, and names the document as its source (``ref_doc_id``). One
    with an image becomes an image node; audio and video stay with the document.
    """
    if not isinstance(node, Node):
        return own_copy(node)
    fields: dict[str, Any] = {name: copy(getattr(node, name)) for name in _COMMON}
    fields["metadata"] = own_containers(node.metadata)
    fields["text"] = node.get_content(metadata_mode=MetadataMode.NONE)
    fields["relationships"] = {NodeRelationship.SOURCE: _as_source(node), **node.relationships}
    return TextNode(**fields) if node.image_resource is None else ImageNode(**fields, **_image(node.image_resource))


def _as_source(node: BaseNode) -> RelatedNodeInfo:
    """Return what names a node as a source; without its hash where its text has half of a surrogate pair."""
    try:
        return node.as_related_node_info()
    except UnicodeEncodeError:
        return RelatedNodeInfo(node_id=node.node_id, node_type=node.get_type(), metadata=node.metadata)


def _image(resource: MediaResource) -> dict[str, Any]:
    return {
        "image": None if resource.data is None else resource.data.decode("ascii"),
        "image_path": None if resource.path is None else str(resource.path),
        "image_url": None if resource.url is None else str(resource.url),
        "image_mimetype": resource.mimetype,
    }
