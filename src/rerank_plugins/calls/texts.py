"""The calls of an embedder as steps: check the arguments, ask the backend for vectors, make results of them."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from rerank_plugins.backends.vectors import BackendVectors, EmbedOptions
from rerank_plugins.calls.driving import ChunkStep, EmbedStep, EncodeStep, Steps
from rerank_plugins.catalog.scorer_traits import traits_of
from rerank_plugins.catalog.spec import ModelSpec
from rerank_plugins.embedding.cache import QueryVectorCache
from rerank_plugins.embedding.chunk_checks import check_chunks, check_reads_in_context
from rerank_plugins.embedding.chunks import ChunkedText, Chunking, ChunkVectors
from rerank_plugins.embedding.multi import OUTPUTS, TOKENS, VectorAssembly, check_outputs
from rerank_plugins.embedding.rows import finished_rows
from rerank_plugins.embedding.vectors import TextVectors
from rerank_plugins.engine.deadline import Deadline
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.inputs import check_deadline, check_text_pairs, check_texts

__all__ = ["TextCalls", "checked_dimensions"]

logger = logging.getLogger(__name__)

_Vectors = npt.NDArray[np.float32]


class TextCalls:
    """What an embedder makes of the vectors of its backend. Safe from any number of threads.

    Args:
        spec: How the model is used.
        dimensions: Numbers of each vector that are kept; None keeps all.
        normalize: Whether vectors are scaled to length 1.
        deadline_s: Seconds after which a call gives up that asks for no deadline; None never does.
        assembly: Makes vectors of several kinds; None where the model has one kind.
        cache: Vectors of earlier queries; None for none.
        cache_key: Everything but the text that decides a query's vector.
    """

    def __init__(
        self,
        spec: ModelSpec,
        *,
        dimensions: int | None,
        normalize: bool,
        deadline_s: float | None,
        assembly: VectorAssembly | None,
        cache: QueryVectorCache | None,
        cache_key: Hashable,
    ) -> None:
        self._spec, self._dimensions, self._normalize = spec, dimensions, normalize
        self._deadline_s, self._assembly = deadline_s, assembly
        self.cache, self._cache_key = cache, cache_key

    def queries(self, queries: object, *, deadline_s: float | None) -> Steps[_Vectors]:
        """Embed queries, those that are not at hand."""
        self._refuse_token_vectors()
        texts, options = check_texts(queries, name="queries"), self._options(deadline_s, is_query=True)
        cache = self.cache
        if cache is None or not texts:
            return self._finished((yield EmbedStep(texts, options)))
        found, missing = cache.look_up(self._cache_key, texts)
        rows = self._finished((yield EmbedStep(missing, options)))
        return cache.complete(self._cache_key, texts, found, missing, rows)

    def documents(self, documents: object, *, deadline_s: float | None) -> Steps[_Vectors]:
        """Embed documents."""
        self._refuse_token_vectors()
        texts = check_texts(documents, name="documents")
        return self._finished((yield EmbedStep(texts, self._options(deadline_s, is_query=False))))

    def encode(
        self, texts: object, outputs: Sequence[str] | None, *, is_query: bool, deadline_s: float | None
    ) -> Steps[TextVectors]:
        """Embed queries or documents as vectors of several kinds."""
        checked = check_texts(texts, name="queries" if is_query else "documents")
        assembly = self._several_kinds()
        kinds = check_outputs(outputs, allowed=OUTPUTS if traits_of(self._spec.scorer).has_text_vectors else TOKENS)
        found = yield EncodeStep(checked, self._options(deadline_s, is_query=is_query), kinds, assembly)
        vectors: TextVectors = found.vectors
        return vectors

    def encode_pairs(self, pairs: object, *, deadline_s: float | None) -> Steps[tuple[TextVectors, TextVectors]]:
        """Embed queries and their documents as vectors of all kinds, with one deadline for both."""
        self._refuse_token_vectors()
        checked, assembly = check_text_pairs(pairs), self._several_kinds()
        options = self._options(deadline_s, is_query=True)
        queries = yield EncodeStep([query for query, _ in checked], options, OUTPUTS, assembly)
        options = replace(options, is_query=False)
        documents = yield EncodeStep([document for _, document in checked], options, OUTPUTS, assembly)
        return queries.vectors, documents.vectors

    def chunks(
        self, documents: object, chunks: object, *, overlap: int | None, deadline_s: float | None
    ) -> Steps[list[ChunkVectors]]:
        """Embed chunks of documents, each in its context; None splits into sentences."""
        check_reads_in_context(self._spec)
        texts = check_texts(documents, name="documents")
        chunked = [ChunkedText(text, spans) for text, spans in zip(texts, check_chunks(texts, chunks), strict=True)]
        chunking = Chunking(
            overlap=overlap,
            dimensions=self._dimensions or self._spec.dimensions or 0,
            kept=self._dimensions,
            normalize=self._normalize,
        )
        found = yield ChunkStep(chunked, self._options(deadline_s, is_query=False), chunking)
        vectors: list[ChunkVectors] = found.vectors
        return vectors

    def _refuse_token_vectors(self) -> None:
        """Raise InvalidInputError if the model has vectors of tokens alone."""
        if not traits_of(self._spec.scorer).has_text_vectors:
            msg = (
                f"{self._spec.id!r} gives one vector a token and none for a whole text: use encode_queries and "
                "encode_documents for them, or Reranker, which compares them"
            )
            raise InvalidInputError(msg)

    def _several_kinds(self) -> VectorAssembly | None:
        if not traits_of(self._spec.scorer).has_token_vectors:
            msg = (
                f"{self._spec.id!r} has dense vectors only: use embed_queries and embed_documents, or a model with "
                "heads for the other kinds, such as BAAI/bge-m3"
            )
            raise InvalidInputError(msg)
        return self._assembly

    def _options(self, deadline_s: float | None, *, is_query: bool) -> EmbedOptions:
        checked_s = check_deadline(deadline_s)
        return EmbedOptions(is_query=is_query, deadline=Deadline(self._deadline_s if checked_s is None else checked_s))

    def _finished(self, found: BackendVectors) -> _Vectors:
        rows = found.rows
        if not len(rows):
            return np.zeros((0, self._dimensions or self._spec.dimensions or 0), dtype=np.float32)
        if self._dimensions is not None:
            checked_dimensions(self._dimensions, self._spec, found=rows.shape[1])
        return finished_rows(rows, normalize=self._normalize, dimensions=self._dimensions)


def checked_dimensions(requested: int | None, spec: ModelSpec, *, found: int | None = None) -> int | None:
    """Return the dimensions to keep.

    Args:
        requested: By the user; None keeps all.
        spec: The model.
        found: What vectors have, once some were made.

    Raises:
        InvalidInputError: The vectors have fewer.
    """
    has = found or spec.dimensions
    if requested is None or has is None or requested == has:
        return requested
    if requested > has:
        msg = f"dimensions={requested} is more than the {has} that vectors of {spec.id!r} have"
        raise InvalidInputError(msg)
    if found is None and (spec.matryoshka_from is None or requested < spec.matryoshka_from):
        logger.warning("%s is not known to be trained for vectors cut to %d dimensions", spec.id, requested)
    return requested
