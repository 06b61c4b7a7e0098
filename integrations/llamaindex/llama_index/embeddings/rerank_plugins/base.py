"""Embeddings with the model's own instructions, batched by the core's engine."""

from __future__ import annotations

from functools import wraps
from typing import Annotated, Any, ClassVar

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.bridge.pydantic import Field, field_validator
from llama_index.core.callbacks import CallbackManager
from llama_index.core.storage.kvstore.types import BaseKVStore
from llama_index.postprocessor.rerank_plugins.options import ComponentOptions
from pydantic import AliasChoices, BaseModel
from typing_extensions import Self, TypedDict, Unpack, override

from rerank_plugins.adapters import models
from rerank_plugins.adapters.checks import check_kind
from rerank_plugins.adapters.embedding import EmbedderOptions
from rerank_plugins.adapters.fields import Count, Name, Text, option
from rerank_plugins.embedder import Embedder
from rerank_plugins.errors import InvalidInputError

__all__ = ["BceEmbedding", "BgeEmbedding", "EmbeddingSettings", "InstructionEmbedding"]

_LARGEST_BATCH = 2048


class EmbeddingSettings(TypedDict, total=False):
    """Settings of an embedding that do not depend on its model."""

    embed_batch_size: int
    num_workers: int | None
    embeddings_cache: Any
    rate_limiter: Any
    callback_manager: CallbackManager


class _QueryCache:
    """The part of a key-value store that has the vectors of queries."""

    def __init__(self, store: BaseKVStore) -> None:
        self._store = store

    def get(self, key: str, collection: str) -> dict[str, Any] | None:
        return self._store.get(key=key, collection=_of_queries(collection))

    async def aget(self, key: str, collection: str) -> dict[str, Any] | None:
        return await self._store.aget(key=key, collection=_of_queries(collection))

    def put(self, key: str, val: dict[str, Any], collection: str) -> None:
        self._store.put(key=key, val=val, collection=_of_queries(collection))

    async def aput(self, key: str, val: dict[str, Any], collection: str) -> None:
        await self._store.aput(key=key, val=val, collection=_of_queries(collection))


def _of_queries(collection: str) -> str:
    return f"{collection}_of_queries"


class InstructionEmbedding(ComponentOptions, EmbedderOptions, BaseEmbedding):
    """Embeds with any embedding model that the core can run, each side with its instruction.

    An ``embeddings_cache`` keeps queries apart from documents, in a collection of their own. LlamaIndex knows vectors
    there by their text alone, so each model and each setting that changes vectors needs a cache of its own.

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

    # ``wraps`` hands on the mark of what is traced: the base's method has the one span of a call.
    @wraps(BaseEmbedding.get_query_embedding)
    def get_query_embedding(self, query: str) -> list[float]:
        """Return the vector of a query, of its cache if there is one."""
        return BaseEmbedding.get_query_embedding(self._asked(), query)

    @wraps(BaseEmbedding.aget_query_embedding)
    async def aget_query_embedding(self, query: str) -> list[float]:
        """Return what :meth:`get_query_embedding` returns, without blocking the event loop."""
        return await BaseEmbedding.aget_query_embedding(self._asked(), query)

    def _asked(self) -> InstructionEmbedding:
        """Return what embeds queries: LlamaIndex's cache knows a text by itself alone, whichever side it is of."""
        if self.embeddings_cache is None:
            return self
        made = BaseModel.__copy__(self)
        made.__dict__["embeddings_cache"] = _QueryCache(self.embeddings_cache)
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
