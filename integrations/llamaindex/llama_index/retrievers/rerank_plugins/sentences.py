"""Long documents for LlamaIndex: sentences as nodes with vectors in context, and retrieval with their neighbours."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.callbacks import CallbackManager
from llama_index.core.node_parser import NodeParser
from llama_index.core.node_parser.node_utils import build_nodes_from_splits, default_id_func
from llama_index.core.schema import (
    BaseNode,
    Document,
    MetadataMode,
    NodeRelationship,
    NodeWithScore,
    QueryBundle,
    TextNode,
)
from llama_index.core.utils import get_tqdm_iterable
from llama_index.postprocessor.rerank_plugins.options import EmbeddingOptions, check_callbacks
from llama_index.retrievers.rerank_plugins.nodes import listed_nodes, nodes_by_id
from llama_index.retrievers.rerank_plugins.parts import OWN, PARTS, AnyEmbedder
from pydantic import Field, field_validator

from rerank_plugins.adapters.arguments import check_text_query
from rerank_plugins.adapters.checks import checked_count
from rerank_plugins.adapters.containers import own_containers
from rerank_plugins.adapters.copies import SharedModels
from rerank_plugins.adapters.descriptions import OPTIONS
from rerank_plugins.adapters.fields import CountOrZero, Name
from rerank_plugins.adapters.sentences import SENTENCES_KEY, SentenceCorpus, spans_of, split_in_context
from rerank_plugins.checks.arguments import checked_call
from rerank_plugins.retrieval.passages import FoundPassage

__all__ = ["LateChunkingNodeParser", "SentenceRetriever"]


class LateChunkingNodeParser(EmbeddingOptions, NodeParser):
    """Splits documents into sentences, each a node with a vector made in the document's context (late chunking).

    A node has its ``embedding``, ``start_char_idx`` and ``end_char_idx`` in the document's text, the document as its
    source, and its neighbours as previous and next. A vector index embeds only nodes that have none, so it keeps these;
    its ``embed_model`` must be the same model, since it embeds the queries.

    Example:
        >>> parser = LateChunkingNodeParser(model_name="intfloat/multilingual-e5-small")
        >>> nodes = parser.get_nodes_from_documents(documents)
    """

    _model_name: ClassVar[str] = "model_name"

    model_name: Name = Field(frozen=True, description=OPTIONS["model"])
    overlap: CountOrZero | None = Field(
        default=None, ge=0, description="Tokens that neighbouring windows share at least; None shares a quarter."
    )

    @field_validator("id_func", mode="before")
    @classmethod
    def _stored_function(cls, function: Any) -> Any:
        # LlamaIndex stores a function by its name alone, which opens its own default only.
        if isinstance(function, dict) and function.get("id_func_name") == default_id_func.__name__:
            return default_id_func
        return function

    def _parse_nodes(self, nodes: Sequence[BaseNode], show_progress: bool = False, **kwargs: Any) -> list[BaseNode]:  # noqa: FBT001, FBT002
        texts = [node.get_content(metadata_mode=MetadataMode.NONE) for node in nodes]
        shown = get_tqdm_iterable(texts, show_progress, "Parsing nodes")
        found = split_in_context(self.embedder, shown, overlap=self.overlap)
        parsed: list[BaseNode] = []
        for node, text, sentences in zip(nodes, texts, found, strict=True):
            parts = [text[start:end] for start, end, _ in sentences]
            made = build_nodes_from_splits(parts, node, id_func=self.id_func)
            for one, (start, end, vector) in zip(made, sentences, strict=True):
                one.start_char_idx, one.end_char_idx, one.embedding = start, end, vector
            parsed += made
        return parsed

    async def _aparse_nodes(
        self,
        nodes: Sequence[BaseNode],
        show_progress: bool = False,  # noqa: FBT001, FBT002
        **kwargs: Any,
    ) -> list[BaseNode]:
        # LlamaIndex's own would run the model on the event loop.
        return await asyncio.to_thread(self._parse_nodes, nodes, show_progress, **kwargs)

    def _postprocess_parsed_nodes(self, nodes: list[BaseNode], parent_doc_map: dict[str, Document]) -> list[BaseNode]:
        # LlamaIndex 0.14.0 looks each text up in its document: of a sentence that comes twice it finds the first.
        places = {
            node.node_id: _place(
                _first_character(parent_doc_map.get(node.ref_doc_id or "")), node.start_char_idx, node.end_char_idx
            )
            for node in nodes
            if isinstance(node, TextNode)
        }
        made = super()._postprocess_parsed_nodes(nodes, parent_doc_map)
        for node in made:
            if isinstance(node, TextNode) and node.node_id in places:
                node.start_char_idx, node.end_char_idx = places[node.node_id]
        return made


class SentenceRetriever(SharedModels, BaseRetriever):
    """Retrieves from long documents by their sentences, with neighbours; made by :meth:`from_documents`.

    A result is a text node with a part of a document: the sentences that were found and their neighbours, merged where
    they touch. It has ``start_char_idx`` and ``end_char_idx``, the document as its source, its metadata, and
    ``retrieval_sentences`` (characters of the sentences that were found), which no LLM or embedding model reads. The
    score is a cosine.

    Args:
        corpus: What :meth:`from_documents` makes.
        top_k: Sentences that are found.
        callback_manager: For LlamaIndex's callbacks; None has none.
    """

    _not_copied = {"callback_manager": CallbackManager}  # noqa: RUF012 - typed by the base class

    def __init__(
        self, corpus: SentenceCorpus[BaseNode], *, top_k: int = 5, callback_manager: CallbackManager | None = None
    ) -> None:
        self._top_k = checked_count("top_k", top_k)
        check_callbacks(callback_manager)
        super().__init__(callback_manager=callback_manager)
        self._corpus = corpus

    @classmethod
    @checked_call(unchecked=OWN)
    def from_documents(
        cls,
        documents: Sequence[BaseNode | str],
        *,
        embedder: AnyEmbedder,
        top_k: int = 5,
        before: int = 1,
        after: int = 1,
        in_context: bool = True,
        overlap: int | None = None,
        passage_characters: int | None = None,
        faiss_index: str | None = "Flat",
        callback_manager: CallbackManager | None = None,
    ) -> SentenceRetriever:
        """Index documents, nodes or texts, and return a retriever over their sentences.

        ``embedder`` may also be an embedding of this package. The other options are those of
        :class:`rerank_plugins.retrieval.SentenceIndex`, whose errors are raised here too. What is searched, and what
        spans count in, is a document's text without its metadata.
        """
        check_callbacks(callback_manager)
        top_k = checked_count("top_k", top_k)
        corpus = SentenceCorpus.indexed(
            _PLAIN,
            nodes_by_id(listed_nodes(documents)),
            embedder=embedder,
            before=before,
            after=after,
            in_context=in_context,
            overlap=overlap,
            passage_characters=passage_characters,
            faiss_index=faiss_index,
        )
        return cls(corpus, top_k=top_k, callback_manager=callback_manager)

    @checked_call()
    def persist(self, persist_dir: str | Path) -> Path:
        """Write nodes, vectors and settings into a folder, and return it.

        Raises:
            InvalidInputError: A node is not plain JSON, or the folder cannot be written.
        """
        return self._corpus.save(_PLAIN, persist_dir, top_k=self._top_k)

    @classmethod
    @checked_call(unchecked=OWN)
    def from_persist_dir(
        cls,
        persist_dir: str | Path,
        *,
        embedder: AnyEmbedder | None = None,
        callback_manager: CallbackManager | None = None,
    ) -> SentenceRetriever:
        """Return a retriever that :meth:`persist` wrote; no document is read again.

        ``embedder`` is as in :meth:`from_documents`. None opens the one that the vectors were made with; another one is
        refused.

        Raises:
            InvalidInputError: The folder holds something else or is damaged, or the embedder is another one.
            ModelError: The embedder cannot be loaded.
        """
        corpus, top_k, _ = SentenceCorpus.opened(_PLAIN, persist_dir, embedder)
        return cls(corpus, top_k=top_k, callback_manager=callback_manager)

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        check_text_query(query_bundle.query_str)
        return _nodes(self._corpus.search(query_bundle.query_str, top_k=self._top_k))

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        check_text_query(query_bundle.query_str)
        return _nodes(await self._corpus.asearch(query_bundle.query_str, top_k=self._top_k))


_PLAIN = replace(PARTS, text_of=lambda node: node.get_content(metadata_mode=MetadataMode.NONE))
"""Spans count in the text alone, not in that for embedding models, which begins with the metadata."""


def _nodes(found: Sequence[tuple[BaseNode, FoundPassage]]) -> list[NodeWithScore]:
    return [NodeWithScore(node=_node(one, passage), score=passage.score) for one, passage in found]


def _first_character(document: BaseNode | None) -> int | None:
    """Return where the text of a node begins in its source: a chunk's in what it is a chunk of.

    None where that is not known, as LlamaIndex's splitters have it.
    """
    source = None if document is None else document.source_node
    # The text node of a whole document has its id, and names it as its source.
    if document is None or source is None or source.node_id == document.node_id:
        return 0
    return getattr(document, "start_char_idx", None)


def _place(first: int | None, start: int | None, end: int | None) -> tuple[int | None, int | None]:
    """Return the place in its source of a part of a text that begins there at ``first``."""
    return (None, None) if None in (first, start, end) else (first + start, first + end)  # type: ignore[operator]


def _node(document: BaseNode, passage: FoundPassage) -> TextNode:
    first = _first_character(document)
    start, end = _place(first, passage.span.start, passage.span.end)
    # Where the node's own place counts; in the node that was given where that is not known.
    sentences = [[(first or 0) + character for character in span] for span in spans_of(passage)]
    return TextNode(
        id_=f"{passage.id}:{passage.span.start}-{passage.span.end}",
        text=passage.text,
        start_char_idx=start,
        end_char_idx=end,
        metadata={**own_containers(document.metadata), SENTENCES_KEY: sentences},
        excluded_embed_metadata_keys=[*document.excluded_embed_metadata_keys, SENTENCES_KEY],
        excluded_llm_metadata_keys=[*document.excluded_llm_metadata_keys, SENTENCES_KEY],
        relationships={NodeRelationship.SOURCE: document.source_node or document.as_related_node_info()},
    )
