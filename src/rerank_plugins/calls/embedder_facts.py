"""The settings of an open embedder, and what it reads of a text; its calls are in :mod:`rerank_plugins.embedder`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from rerank_plugins.backends.handles import ModelHandle
from rerank_plugins.backends.late_embedder import LateEmbedder
from rerank_plugins.backends.local_embedder import LocalEmbedder
from rerank_plugins.backends.protocol import KnownEverywhere
from rerank_plugins.backends.text_embedders import TextEmbedderBackend
from rerank_plugins.backends.vectors import TextEmbedder
from rerank_plugins.calls.texts import TextCalls
from rerank_plugins.catalog.spec import Instruction, ModelSpec
from rerank_plugins.checks.arguments import checked_call
from rerank_plugins.checks.foreign_names import EMBEDDER_NAMES, ForeignNames
from rerank_plugins.embedding.cache import CacheStatistics, QueryVectorCache
from rerank_plugins.inputs import check_texts
from rerank_plugins.types import QueryExample

__all__ = ["EmbedderFacts", "backend_key"]

_OF_CONVENTIONS = ("scorer", "pooling", "query_suffix", "ends_in", "landmark", "pools_instruction")
"""Facts of a model that its files need not hold, and that decide a vector."""

_KEY_CHARACTERS = 32


def backend_key(backend: TextEmbedder) -> str:
    """Return what tells the vectors of a backend of texts: its name and revision, and where it runs if it says so."""
    known = backend.identity if isinstance(backend, KnownEverywhere) else None
    return repr((backend.spec.id, backend.spec.revision, known))


class EmbedderFacts(ModelHandle, ForeignNames):
    """A share in a model and the settings it is used with; the subclass opens it."""

    _foreign_names = EMBEDDER_NAMES

    _backend: LocalEmbedder | LateEmbedder | TextEmbedderBackend
    _calls: TextCalls
    _spec: ModelSpec
    _instruction: Instruction
    _examples: tuple[QueryExample, ...]
    _dimensions: int | None
    _normalize: bool
    _max_length: int
    _weights_key: Callable[[], str]
    _weights_digest: Callable[[], str | None]
    _kind_of_run: str

    @property
    def instruction(self) -> Instruction:
        """The texts put in front of queries and documents."""
        return self._instruction

    @property
    def examples(self) -> tuple[QueryExample, ...]:
        """The solved examples put in front of queries."""
        return self._examples

    @property
    def dimensions(self) -> int | None:
        """Length of a vector; None if it shows only at run time."""
        return self._dimensions or self._spec.dimensions

    @property
    def normalize(self) -> bool:
        """Whether vectors are scaled to length 1."""
        return self._normalize

    @property
    def cache(self) -> QueryVectorCache | None:
        """What keeps the vectors of queries; None for nothing."""
        return self._calls.cache

    @property
    def max_length(self) -> int:
        """Tokens of a text, its instruction and special tokens included."""
        return self._max_length

    @checked_call(unchecked=("queries",))
    def truncated_queries(self, queries: Sequence[str]) -> list[bool]:
        """Return of each query whether its vector is made without its end, because it is longer than the model reads.

        Texts are tokenised for it; the model does not run. A backend without a tokenizer here counts words, and what
        a service cuts beyond that is not known.

        Raises:
            InvalidInputError: An element is not a string.
        """
        return self._backend.truncated(check_texts(queries, name="queries"), is_query=True)

    @checked_call(unchecked=("documents",))
    def truncated_documents(self, documents: Sequence[str]) -> list[bool]:
        """Return of each document whether its vector is made without its end; see :meth:`truncated_queries`."""
        return self._backend.truncated(check_texts(documents, name="documents"), is_query=False)

    @checked_call()
    def vectors_key(self, *, is_query: bool) -> str:
        """Return a key of everything but the text that decides a vector, for stores that know vectors by their text.

        Weights, instruction, lengths and precision are part of it, the device is not. It is the same in every process,
        and on every machine with the same files; a folder's files are read for it, once in a process. A backend is
        known by the name and revision of its ``spec``.

        Args:
            is_query: Whether of queries; else of documents.

        Raises:
            ModelError: A file of the model cannot be read.
        """
        facts: dict[str, Any] = {
            "weights": self._weights_key(),
            "run": (self._kind_of_run, self._dtype),
            "side": "query" if is_query else "document",
            "instruction": self._instruction.query if is_query else self._instruction.document,
            "examples": [asdict(one) for one in self._examples] if is_query else [],
            "vectors": (self._max_length, self.dimensions, self._normalize),
            "conventions": [getattr(self._spec, name) for name in _OF_CONVENTIONS],
        }
        if (late := self._spec.late_interaction) is not None:
            # Some of it stands in folders without weights. The projection's weights are counted above, its folder not.
            facts["late_interaction"] = {**asdict(late), "projection": None}
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:_KEY_CHARACTERS]

    def query_cache_statistics(self) -> CacheStatistics | None:
        """Return the counters of the query cache; None without one."""
        cache = self._calls.cache
        return None if cache is None else cache.statistics()
