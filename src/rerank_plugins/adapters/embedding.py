"""The options of an embedding model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import PrivateAttr
from typing_extensions import Self

from rerank_plugins.adapters.checks import check_kind
from rerank_plugins.adapters.fields import Count, Example, Flag, Text, option
from rerank_plugins.adapters.options import ModelOptions, engine_fields
from rerank_plugins.calls.flat_options import EMBEDDER_OPTIONS
from rerank_plugins.catalog.spec import ModelKind
from rerank_plugins.embedder import Embedder

__all__ = ["EmbedderOptions"]


class EmbedderOptions(ModelOptions):
    """Options of a core :class:`rerank_plugins.Embedder`, which is opened when the object is made.

    Queries get the instruction that the model was trained with, documents their own (most have none). Texts are
    embedded as they are: line breaks are kept. One object may be used by any number of threads and event loops; vectors
    are lists of Python floats.
    """

    _kind: ClassVar[ModelKind] = "embedder"
    _grouped = EMBEDDER_OPTIONS

    task: Text | None = option("task", None)
    query_instruction: Text | None = option("query_instruction", None)
    document_instruction: Text | None = option("document_instruction", None)
    examples: tuple[Example, ...] | None = option("examples", None)
    dimensions: Count | None = option("dimensions", None)
    query_cache_entries: Count | None = option("query_cache_entries", None)
    normalize: Flag | None = option("normalize", None)

    _keys: dict[bool, str] = PrivateAttr(default_factory=dict)

    @property
    def embedder(self) -> Embedder:
        """The core object that embeds; copies share it, and other adapters may."""
        core: Embedder = self._core
        return core

    @classmethod
    def from_embedder(cls, embedder: Embedder) -> Self:
        """Return an object that uses an existing core embedder.

        It can be pickled if the embedder can. Its stored form names the model and has the embedder's options, so it
        opens again where that name does.

        Args:
            embedder: What embeds, with its own settings; it stays the caller's.

        Raises:
            InvalidInputError: It is no core embedder, or a setting is the embedder's to decide.
        """
        return cls._around_embedder(embedder, {})

    @classmethod
    def _around_embedder(cls, embedder: Embedder, overrides: Mapping[str, Any]) -> Self:
        """Return an object that uses ``embedder``, with the options that it was made with, then ``overrides``."""
        expected = "a rerank_plugins.Embedder (make one with Embedder(model); a model's name goes to the constructor)"
        check_kind("embedder", embedder, Embedder, expected=expected)
        cache = embedder.query_cache_statistics()
        described = {
            "query_instruction": embedder.instruction.query,
            "document_instruction": embedder.instruction.document,
            "examples": embedder.examples or None,
            "dimensions": embedder.dimensions,
            "query_cache_entries": cache and cache.max_entries,
            "normalize": embedder.normalize,
            **engine_fields(embedder.engine),
        }
        return cls._from_core(embedder, described, overrides)

    def _open(self) -> Embedder:
        return Embedder(getattr(self, self._model_name), **self._loading_options())

    def _vectors_key(self, *, is_query: bool) -> str:
        """Return :meth:`rerank_plugins.Embedder.vectors_key`, looked up once: calls need it, and it reads files."""
        if is_query not in self._keys:
            self._keys[is_query] = self.embedder.vectors_key(is_query=is_query)
        return self._keys[is_query]

    def _query_vector(self, text: str) -> list[float]:
        vectors: list[list[float]] = self.embedder.embed_queries([text]).tolist()
        return vectors[0]

    async def _aquery_vector(self, text: str) -> list[float]:
        vectors: list[list[float]] = (await self.embedder.aembed_queries([text])).tolist()
        return vectors[0]

    def _document_vectors(self, texts: list[str]) -> list[list[float]]:
        vectors: list[list[float]] = self.embedder.embed_documents(texts).tolist()
        return vectors

    async def _adocument_vectors(self, texts: list[str]) -> list[list[float]]:
        vectors: list[list[float]] = (await self.embedder.aembed_documents(texts)).tolist()
        return vectors
