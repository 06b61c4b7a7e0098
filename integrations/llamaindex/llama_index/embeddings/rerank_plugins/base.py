"""Embeddings with the model's own instructions, batched by the core's engine."""

from __future__ import annotations

from typing import Annotated, Any

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.bridge.pydantic import Field, PrivateAttr, field_validator
from llama_index.core.callbacks import CallbackManager
from llama_index.core.storage.kvstore.types import BaseKVStore
from llama_index.postprocessor.rerank_plugins.options import LocalModelOptions, check_is_a
from pydantic import AliasChoices
from typing_extensions import Self, TypedDict, Unpack

from rerank_plugins.adapting import check_kind
from rerank_plugins.embedder import Embedder
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.fields import Count, Example, Name, Switch, Text, option

__all__ = ["BceEmbedding", "BgeEmbedding", "EmbeddingSettings", "InstructionEmbedding"]

_LARGEST_BATCH = 2048


class EmbeddingSettings(TypedDict, total=False):
    """Settings of an embedding that do not depend on its model."""

    embed_batch_size: int
    num_workers: int | None
    embeddings_cache: Any
    rate_limiter: Any
    callback_manager: CallbackManager


class InstructionEmbedding(LocalModelOptions, BaseEmbedding):
    """Embeds with any embedding model that the core can run, each side with its instruction.

    Queries get the instruction that the model was trained with, documents their own (most have none);
    ``query_instruction`` and ``document_instruction`` replace them. Texts are embedded as they are: line
    breaks are kept. The model is loaded when the object is created, once per process, and any number of
    threads and event loops may use one object; the async methods do not block the loop.

    Raises:
        ValueError: An option is unknown or has a value that cannot work.
        rerank_plugins.errors.ModelError: The model cannot be resolved or loaded.
        rerank_plugins.errors.DeviceUnavailableError: The device is not on this machine.

    Example:
        >>> Settings.embed_model = InstructionEmbedding(model_name="BAAI/llm-embedder", task="qa")
    """

    model_name: Name = option("model", "BAAI/bge-m3")
    embed_batch_size: Annotated[Count, Field(le=_LARGEST_BATCH)] = Field(
        default=_LARGEST_BATCH,
        description="Texts handed to the engine at once. It packs its own batches, so more is better.",
    )
    num_workers: Count | None = Field(
        default=None, description="Workers that LlamaIndex's async batches use; None awaits them one after the other."
    )
    task: Text | None = option("task", None)
    query_instruction: Text | None = option("query_instruction", None)
    document_instruction: Text | None = option(
        "document_instruction", None, validation_alias=AliasChoices("document_instruction", "text_instruction")
    )
    examples: tuple[Example, ...] | None = option("examples", None)
    dimensions: Count | None = option("dimensions", None)
    query_cache_entries: Count | None = option("query_cache_entries", None)
    normalize: Switch | None = option("normalize", None)

    _embedder: Embedder = PrivateAttr()

    @field_validator("embeddings_cache", mode="before")
    @classmethod
    def _check_cache(cls, cache: Any) -> Any:
        check_kind("embeddings_cache", cache, (BaseKVStore, type(None)), told="a key-value store of LlamaIndex or None")
        return cache

    @field_validator("rate_limiter", mode="before", check_fields=False)
    @classmethod
    def _check_limiter(cls, limiter: Any) -> Any:
        if limiter is not None and not callable(getattr(limiter, "acquire", None)):
            msg = f"rate_limiter must be a rate limiter of LlamaIndex or None; got {type(limiter).__name__}"
            raise InvalidInputError(msg)
        return limiter

    @classmethod
    def class_name(cls) -> str:
        """Return the name by which LlamaIndex serialises the class."""
        return cls.__name__

    @classmethod
    def from_embedder(cls, embedder: Embedder, **settings: Unpack[EmbeddingSettings]) -> Self:
        """Embed with a core object.

        The new object can be pickled if the embedder can. Its serialised form names the model and holds the
        embedder's options, so it can be rebuilt where that name can be opened.

        Args:
            embedder: Used as it is, not copied.
            **settings: ``embed_batch_size`` and the other options that do not depend on the model.

        Raises:
            ValueError: A setting is unknown, cannot work, or is the embedder's to decide.
        """
        check_is_a(embedder, Embedder)
        cache = embedder.query_cache_statistics()
        described = {
            "model_name": embedder.model,
            "family": embedder.spec.family,
            "device": embedder.device,
            "dtype": embedder.dtype,
            "max_length": embedder.max_length,
            "query_instruction": embedder.instruction.query,
            "document_instruction": embedder.instruction.document,
            "examples": embedder.examples or None,
            "dimensions": embedder.dimensions,
            "query_cache_entries": cache and cache.max_entries,
            "normalize": embedder.normalize,
        }
        return cls._adopt(embedder, described, dict(settings))

    def model_post_init(self, context: Any, /) -> None:
        """Open the model, unless one was given."""
        self._embedder = self._given_or(context, self._open)

    @property
    def embedder(self) -> Embedder:
        """The core object that embeds; shared by copies of this one."""
        return self._embedder

    def _open(self) -> Embedder:
        return Embedder(
            self.model_name,
            task=self.task,
            query_instruction=self.query_instruction,
            document_instruction=self.document_instruction,
            examples=self.examples,
            dimensions=self.dimensions,
            query_cache_entries=self.query_cache_entries,
            normalize=self.normalize,
            **self._loading_options(),
        )

    def _get_query_embedding(self, query: str) -> list[float]:
        return _floats(self._embedder.embed_queries([query]))[0]

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return _floats(await self._embedder.aembed_queries([query]))[0]

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._get_text_embeddings([text])[0]

    async def _aget_text_embedding(self, text: str) -> list[float]:
        return (await self._aget_text_embeddings([text]))[0]

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return _floats(self._embedder.embed_documents(texts))

    async def _aget_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return _floats(await self._embedder.aembed_documents(texts))


class BgeEmbedding(InstructionEmbedding):
    """Embeds with a BGE model; see :class:`InstructionEmbedding`.

    The default reads 8192 tokens in over a hundred languages, so that LlamaIndex's default chunks (1024
    tokens) are read whole; ``BAAI/bge-small-en-v1.5`` reads 512 English ones and is 17 times smaller.
    """

    family: Text | None = option("family", "bge")


class BceEmbedding(InstructionEmbedding):
    """Embeds with a BCE model (Chinese and English); see :class:`InstructionEmbedding`."""

    model_name: Name = option("model", "maidalun1020/bce-embedding-base_v1")
    family: Text | None = option("family", "bce")


def _floats(vectors: Any) -> list[list[float]]:
    rows: list[list[float]] = vectors.tolist()
    return rows
