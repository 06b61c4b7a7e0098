"""The backend that embeds with a service: any dialect, one class."""

from __future__ import annotations

import time
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from rerank_plugins.backends.remote_parts import client_of, dialect_of, identity_of, model_name, service_of, usage_of
from rerank_plugins.backends.vectors import BackendVectors, EmbedOptions, embedder_spec
from rerank_plugins.checks.arguments import checked_call
from rerank_plugins.checks.kinds import Count
from rerank_plugins.errors import RemoteError
from rerank_plugins.remote import HttpSettings, RemoteLimits, RemotePrice
from rerank_plugins.remote.dialects import EMBEDDERS
from rerank_plugins.remote.dialects.base import EmbedDialect, EmbedRequest, RemoteResult
from rerank_plugins.remote.engine import RemoteCall, RemoteEngine
from rerank_plugins.text.tokenizer import replace_lone_surrogates

__all__ = ["RemoteEmbedder"]


class RemoteEmbedder:
    """Embeds with a service: what ``Embedder("openai:text-embedding-3-small")`` opens, with more options.

    Queries and documents are distinguished where the service has a word for it (Cohere, Jina, Voyage, our own server).
    For the others ``Embedder(instruction=...)`` puts the model's instruction in front.

    Args:
        service: Its name, or an :class:`~rerank_plugins.remote.dialects.base.EmbedDialect` of your own.
        model: See :class:`~rerank_plugins.backends.remote.RemoteScorer`, also for the following.
        base_url: Its address.
        key_env: Environment variable that holds the key.
        limits: How the service is asked.
        http: Time-outs and retries.
        price: What it costs.
        dimensions: Length of the vectors that the service is to give; None takes the model's own, which shows at run
            time. ``VectorOptions(dimensions=...)`` cuts vectors here.

    Raises:
        InvalidInputError: There is no such service, or an option cannot work with it.
    """

    @checked_call(unchecked=("service",))
    def __init__(
        self,
        service: str | EmbedDialect,
        model: str = "",
        *,
        base_url: str | None = None,
        key_env: str | None = None,
        limits: RemoteLimits | None = None,
        http: HttpSettings | None = None,
        price: RemotePrice | None = None,
        dimensions: Count | None = None,
    ) -> None:
        self._dialect = dialect = dialect_of(service, EmbedDialect, EMBEDDERS)
        self._options = {
            "base_url": base_url,
            "key_env": key_env,
            "limits": limits,
            "http": http,
            "price": price,
            "dimensions": dimensions,
        }
        self._dimensions = dimensions
        self._model, self._price = model_name(dialect.service, model), price
        client, path = client_of(dialect.service, dialect.path, base_url, key_env, http)
        self._engine = RemoteEngine(client, path, dialect.fits, limits or RemoteLimits())
        spec = embedder_spec(f"{dialect.service.name}:{self._model or client.base_url}", dimensions=dimensions)
        self.spec = replace(spec, family=dialect.service.name)

    @property
    def device(self) -> str:
        """The server's name."""
        return self._engine.client.host

    @property
    def identity(self) -> Hashable:
        """What tells its vectors from all others: service, address, model."""
        service = identity_of(self._dialect, EMBEDDERS)
        return ("remote", service, self.spec.id, self._engine.client.base_url, self._dimensions)

    def embed(self, texts: Sequence[str], options: EmbedOptions) -> BackendVectors:
        """Return the vectors of texts; see :meth:`~rerank_plugins.backends.remote.RemoteScorer.score` for errors."""
        start_s = time.perf_counter()
        (parts,) = self._engine.run([self._call(texts, options)], options.deadline)
        return self._result(parts, time.perf_counter() - start_s)

    async def aembed(self, texts: Sequence[str], options: EmbedOptions) -> BackendVectors:
        """Return what :meth:`embed` returns, without blocking the event loop; a cancelled task drops its requests."""
        start_s = time.perf_counter()
        (parts,) = await self._engine.arun([self._call(texts, options)], options.deadline)
        return self._result(parts, time.perf_counter() - start_s)

    def close(self) -> None:
        """Close the connections."""
        self._engine.client.close()

    def __reduce__(self) -> tuple[Any, ...]:
        service = service_of(self._dialect, EMBEDDERS)
        return _made_again, (type(self), service, self._model, self._options)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._dialect.service.name!r}, {self._model!r}, {self._engine.client!r})"

    def _call(self, texts: Sequence[str], options: EmbedOptions) -> RemoteCall[RemoteResult]:
        # Services refuse empty texts, and to models a space is none.
        shown = [replace_lone_surrogates(text) or " " for text in texts]
        return RemoteCall(
            texts=shown, shared_text="", body=partial(self._body, is_query=options.is_query), read=self._dialect.read
        )

    def _body(self, texts: Sequence[str], *, is_query: bool) -> dict[str, Any]:
        body = self._dialect.body(EmbedRequest(model=self._model, texts=texts, is_query=is_query))
        return body if self._dimensions is None else {**body, self._dialect.dimensions_key: self._dimensions}

    def _result(self, parts: Sequence[RemoteResult], total_s: float) -> BackendVectors:
        if not parts:
            return BackendVectors(np.zeros((0, 0), dtype=np.float32))
        lengths = sorted({part.rows.shape[1] for part in parts})
        if len(lengths) > 1 or self._dimensions not in (None, lengths[0]):
            wanted = "" if self._dimensions is None else f", and not of dimensions={self._dimensions}"
            msg = f"{self.spec.id!r} gave vectors of the lengths {lengths}{wanted}"
            raise RemoteError(msg, status=200)
        rows = np.concatenate([part.rows for part in parts]).astype(np.float32, copy=False)
        return BackendVectors(rows, usage_of(parts, self._price, n_inputs=len(rows), total_s=total_s))


def _made_again(owner: type[RemoteEmbedder], service: Any, model: str, options: Mapping[str, Any]) -> RemoteEmbedder:
    return owner(service, model, **options)
