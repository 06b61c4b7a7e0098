"""Embeddings with the model's own instructions, batched by the core's engine."""

from __future__ import annotations

from functools import wraps
from typing import Annotated, Any, ClassVar

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.bridge.pydantic import Field, field_validator
from llama_index.core.callbacks import CallbackManager
from llama_index.core.storage.kvstore.types import BaseKVStore
from llama_index.postprocessor.rerank_plugins.options import EmbeddingOptions
from pydantic import AliasChoices, BaseModel
from typing_extensions import Self, TypedDict, Unpack, override

from rerank_plugins.adapters import models
from rerank_plugins.adapters.checks import check_kind
from rerank_plugins.adapters.fields import Count, Name, Text, option
from rerank_plugins.embedder import Embedder
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.inputs import check_texts

__all__ = ["BceEmbedding", "BgeEmbedding", "EmbeddingSettings", "InstructionEmbedding"]

_LARGEST_BATCH = 2048


class EmbeddingSettings(TypedDict, total=False):
    """Settings of an embedding that do not depend on its model."""

    embed_batch_size: int
    num_workers: int | None
    embeddings_cache: Any
    rate_limiter: Any
    callback_manager: CallbackManager


class _OwnEntries:
    """The entries of a key-value store that are vectors of one model, with one set of settings, of one side."""

    def __init__(self, store: BaseKVStore, key: str) -> None:
        self._store, self._key = store, key

    def get(self, key: str, collection: str) -> dict[str, Any] | None:
        return self._store.get(key=self._own(key), collection=collection)

    async def aget(self, key: str, collection: str) -> dict[str, Any] | None:
        return await self._store.aget(key=self._own(key), collection=collection)

    def put(self, key: str, val: dict[str, Any], collection: str) -> None:
        self._store.put(key=self._own(key), val=val, collection=collection)

    async def aput(self, key: str, val: dict[str, Any], collection: str) -> None:
        await self._store.aput(key=self._own(key), val=val, collection=collection)

    def _own(self, text: object) -> str:
        # None, and what else is no text, must not find the vector of its name.
        (checked,) = check_texts([text], name="texts")
        return f"{self._key}:{checked}"


class InstructionEmbedding(EmbeddingOptions, BaseEmbedding):
    """Embeds with any embedding model that the core can run, each side with its instruction.

    One ``embeddings_cache`` may serve any number of models: the key of a vector there is
    :meth:`rerank_plugins.Embedder.vectors_key` and the text, so that models, settings, queries and documents never
    exchange vectors.

    Example:
        >>> Settings.embed_model = InstructionEmbedding(model_name="BAAI/llm-embedder", task="qa")
    """

    _model_name: ClassVar[str] = "model_name"

    model_name: Name = option("model", models.BGE_EMBEDDER)
    embed_batch_size: Annotated[Count, Field(le=_LARGEST_BATCH)] = Field(
        default=_LARGEST_BATCH,
        description="Texts handed to the engine at once. It packs its own batches, so more is better.",
    )
    num_workers: Count | None = Field(
        default=None, description="Workers that LlamaIndex's async batches use; None awaits them one after the other."
    )
    document_instruction: Text | None = option(
        "document_instruction", None, validation_alias=AliasChoices("document_instruction", "text_instruction")
    )

    @field_validator("embeddings_cache", mode="before")
    @classmethod
    def _check_cache(cls, cache: Any) -> Any:
        check_kind(
            "embeddings_cache", cache, (BaseKVStore, type(None)), expected="a key-value store of LlamaIndex or None"
        )
        return cache

    @field_validator("rate_limiter", mode="before", check_fields=False)
    @classmethod
    def _check_limiter(cls, limiter: Any) -> Any:
        if limiter is not None and not callable(getattr(limiter, "acquire", None)):
            msg = f"rate_limiter must be a rate limiter of LlamaIndex or None; got {type(limiter).__name__}"
            raise InvalidInputError(msg)
        return limiter

    @classmethod
    @override
    def from_embedder(cls, embedder: Embedder, **settings: Unpack[EmbeddingSettings]) -> Self:
        return cls._around_embedder(embedder, settings)

    def model_post_init(self, context: Any, /) -> None:
        """Open the model; where calls ask for its files' key, it is known before the first, which may be on a loop."""
        super().model_post_init(context)
        # Versions without to_payload put to_dict, which has the key, into the events of each call.
        if self.embeddings_cache is not None or not hasattr(BaseEmbedding, "to_payload"):
            self._vectors_key(is_query=False)

    # ``wraps`` hands on the mark of what is traced: the base's method has the one span of a call.
    @wraps(BaseEmbedding.get_query_embedding)
    def get_query_embedding(self, query: str) -> list[float]:
        """Return the vector of a query, of the cache if there is one."""
        return BaseEmbedding.get_query_embedding(self._cached(is_query=True), query)

    @wraps(BaseEmbedding.aget_query_embedding)
    async def aget_query_embedding(self, query: str) -> list[float]:
        """Return what :meth:`get_query_embedding` returns, without blocking the event loop."""
        return await BaseEmbedding.aget_query_embedding(self._cached(is_query=True), query)

    @wraps(BaseEmbedding.get_text_embedding)
    def get_text_embedding(self, text: str) -> list[float]:
        """Return the vector of a document, of the cache if there is one."""
        return BaseEmbedding.get_text_embedding(self._cached(is_query=False), text)

    @wraps(BaseEmbedding.aget_text_embedding)
    async def aget_text_embedding(self, text: str) -> list[float]:
        """Return what :meth:`get_text_embedding` returns, without blocking the event loop."""
        return await BaseEmbedding.aget_text_embedding(self._cached(is_query=False), text)

    @wraps(BaseEmbedding.get_text_embedding_batch)
    def get_text_embedding_batch(
        self,
        texts: list[str],
        show_progress: bool = False,  # noqa: FBT001, FBT002
        **kwargs: Any,
    ) -> list[list[float]]:
        """Return the vectors of documents, those of the cache that are there.

        Raises:
            InvalidInputError: ``texts`` is a single text, or an element is not a string.
        """
        # LlamaIndex's own takes a text for a list of its characters.
        checked, own = check_texts(texts, name="texts"), self._cached(is_query=False)
        return BaseEmbedding.get_text_embedding_batch(own, checked, show_progress, **kwargs)

    @wraps(BaseEmbedding.aget_text_embedding_batch)
    async def aget_text_embedding_batch(
        self,
        texts: list[str],
        show_progress: bool = False,  # noqa: FBT001, FBT002
        **kwargs: Any,
    ) -> list[list[float]]:
        """Return what :meth:`get_text_embedding_batch` returns, without blocking the event loop."""
        checked, own = check_texts(texts, name="texts"), self._cached(is_query=False)
        return await BaseEmbedding.aget_text_embedding_batch(own, checked, show_progress, **kwargs)

    def _cached(self, *, is_query: bool) -> InstructionEmbedding:
        """Return what embeds one side: LlamaIndex's cache knows a vector by its text alone, whosever it is."""
        if self.embeddings_cache is None:
            return self
        made = BaseModel.__copy__(self)
        made.__dict__["embeddings_cache"] = _OwnEntries(self.embeddings_cache, self._vectors_key(is_query=is_query))
        return made

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._query_vector(query)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return await self._aquery_vector(query)

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._document_vectors([text])[0]

    async def _aget_text_embedding(self, text: str) -> list[float]:
        return (await self._adocument_vectors([text]))[0]

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return self._document_vectors(texts)

    async def _aget_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return await self._adocument_vectors(texts)


class BgeEmbedding(models.BgeEmbedder, InstructionEmbedding):
    """Embeds with a BGE model: ``Settings.embed_model = BgeEmbedding()`` reads default chunks whole."""


class BceEmbedding(models.BceEmbedder, InstructionEmbedding):
    """Embeds with the bilingual (Chinese, English) BCE model: ``Settings.embed_model = BceEmbedding()``."""

    model_name: Name = option("model", models.BCE_EMBEDDER)
