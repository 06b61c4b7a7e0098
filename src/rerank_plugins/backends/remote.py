"""The backend that ranks with a service: any dialect, one class."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from hashlib import blake2b
from typing import Any

from rerank_plugins.backends.protocol import BackendScores, Pairs, ScoreOptions, reranker_spec
from rerank_plugins.backends.queries import places_by_query
from rerank_plugins.backends.remote_parts import client_of, dialect_of, identity_of, model_name, service_of, usage_of
from rerank_plugins.catalog.spec import ModelSpec, ScoreScale
from rerank_plugins.checks.arguments import checked_call
from rerank_plugins.errors import InvalidInputError, RemoteError
from rerank_plugins.remote import HttpSettings, RemoteLimits, RemotePrice
from rerank_plugins.remote.dialects import RERANKERS
from rerank_plugins.remote.dialects.base import RemoteResult, RerankDialect, RerankRequest
from rerank_plugins.remote.engine import RemoteCall, RemoteEngine
from rerank_plugins.text.tokenizer import replace_lone_surrogates

__all__ = ["RemoteScorer"]

_ROUNDING = 1e-6

_Reading = Callable[[Any, int], RemoteResult]


class RemoteScorer:
    """Ranks with a service. ``Reranker("cohere:rerank-v3.5")`` opens one by name; this class has more options.

    Documents of one query are asked for together, in requests as large as the service takes, several at the same time,
    and each score is put where its ``index`` says. An answer that leaves a document out, names one twice, or holds
    something else than a finite number is an error: no document is lost, doubled or given another's score.

    The key is read from the environment at each request; no attribute, log line, pickle or error holds it.

    Args:
        service: Its name, such as ``cohere`` or ``tei``, or a
            :class:`~rerank_plugins.remote.dialects.base.RerankDialect` of your own.
        model: The model's name there; may be empty for a server of one model.
        base_url: Its address; None takes the vendor's.
        key_env: Environment variable that holds the key. None takes the vendor's own variable for the vendor's own
            address, and sends no key to any other.
        scores: What the service's scores are; None takes what is known of it (docs/remote-engines.md).
        prompt: Instruction for the model; None takes its own.
        limits: How many requests run at the same time, and when the service is left alone; None takes the defaults.
        http: Time-outs and retries; None takes the defaults.
        price: What the service costs; None reports no cost.

    Raises:
        InvalidInputError: There is no such service, or an option cannot work with it.
    """

    window_words = 300
    """Fits models of 512 tokens: words of most languages have at most 1.7 tokens."""

    @checked_call(unchecked=("service",))
    def __init__(
        self,
        service: str | RerankDialect,
        model: str = "",
        *,
        base_url: str | None = None,
        key_env: str | None = None,
        scores: ScoreScale | None = None,
        prompt: str | None = None,
        limits: RemoteLimits | None = None,
        http: HttpSettings | None = None,
        price: RemotePrice | None = None,
    ) -> None:
        self._dialect = dialect = dialect_of(service, RerankDialect, RERANKERS)
        if prompt and not dialect.prompt_key:
            able = ", ".join(name for name, one in RERANKERS.items() if one.prompt_key)
            msg = f"{dialect.service.name!r} takes no instruction for its model (prompt={prompt!r}); these do: {able}"
            raise InvalidInputError(msg)
        self._options = {
            "base_url": base_url,
            "key_env": key_env,
            "scores": scores,
            "prompt": prompt,
            "limits": limits,
            "http": http,
            "price": price,
        }
        self._model = model_name(dialect.service, model)
        self._scale: ScoreScale = scores or dialect.scale
        self._prompt, self._price = prompt or "", price
        client, path = client_of(dialect.service, dialect.path, base_url, key_env, http)
        self._engine = RemoteEngine(client, path, dialect.fits, limits or RemoteLimits())
        self.spec = self._made_spec()

    @property
    def device(self) -> str:
        """The server's name."""
        return self._engine.client.host

    @property
    def identity(self) -> Hashable:
        """What tells its scores from all others: service, address, model, and what was asked for."""
        service = identity_of(self._dialect, RERANKERS)
        return ("remote", service, self.spec.id, self._engine.client.base_url, self._scale, self._prompt)

    def score(self, pairs: Pairs, options: ScoreOptions) -> BackendScores:
        """Return the scores of pairs.

        Raises:
            RemoteUnavailableError: The service does not answer, or takes no more requests; it may later.
            RemoteError: It refuses the request, or its answer is none.
            DeadlineExceededError: The time is over.
            InvalidInputError: There is no key in the environment, or the model reads all documents of a query together,
                and these do not fit into one request.
        """
        start_s, groups = time.perf_counter(), places_by_query(pairs)
        with self._telling(options, len(pairs), start_s) as read:
            found = self._engine.run(self._calls(groups, pairs, read), options.deadline)
        return self._result(groups, found, time.perf_counter() - start_s)

    async def ascore(self, pairs: Pairs, options: ScoreOptions) -> BackendScores:
        """Return what :meth:`score` returns, without blocking the event loop; a cancelled task drops its requests."""
        start_s, groups = time.perf_counter(), places_by_query(pairs)
        with self._telling(options, len(pairs), start_s) as read:
            found = await self._engine.arun(self._calls(groups, pairs, read), options.deadline)
        return self._result(groups, found, time.perf_counter() - start_s)

    def close(self) -> None:
        """Close the connections."""
        self._engine.client.close()

    def __reduce__(self) -> tuple[Any, ...]:
        service = service_of(self._dialect, RERANKERS)
        return _made_again, (type(self), service, self._model, self._options)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._dialect.service.name!r}, {self._model!r}, {self._engine.client!r})"

    def _made_spec(self) -> ModelSpec:
        """Return what is known of the scores; the revision tells other scales and instructions apart."""
        service, settings = self._dialect.service, f"{self._scale} {self._prompt}".encode("utf-8", "backslashreplace")
        is_default = self._scale == self._dialect.scale and not self._prompt
        spec = reranker_spec(
            f"{service.name}:{self._model or self._engine.client.base_url}",
            score_scale=self._scale,
            score_scope=self._dialect.scope(self._model),
            revision=None if is_default else blake2b(settings, digest_size=6).hexdigest(),
        )
        notes = "runs elsewhere; what it reads of a long text is not known here"
        return replace(spec, family=service.name, notes=notes)

    @contextmanager
    def _telling(self, options: ScoreOptions, n_inputs: int, start_s: float) -> Iterator[_Reading]:
        """Give what reads answers, and tell what a call had taken that ends with an error."""
        parts: list[RemoteResult] = []

        def read(answer: Any, n: int) -> RemoteResult:
            part = self._read(answer, n)
            parts.append(part)
            return part

        try:
            yield read
        except BaseException:
            total_s = time.perf_counter() - start_s
            options.spent.append(usage_of(parts, self._price, n_inputs=n_inputs, total_s=total_s))
            raise

    def _calls(
        self, groups: Mapping[str, Sequence[int]], pairs: Pairs, read: _Reading
    ) -> list[RemoteCall[RemoteResult]]:
        return [
            RemoteCall(
                # As a tokenizer here reads them.
                texts=[replace_lone_surrogates(pairs[place][1] or "") for place in places],
                shared_text=query,
                body=partial(self._body, replace_lone_surrogates(query)),
                read=read,
                is_whole=self.spec.score_scope == "call",
            )
            for query, places in groups.items()
        ]

    def _body(self, query: str, documents: Sequence[str]) -> dict[str, Any]:
        request = RerankRequest(
            model=self._model, query=query, documents=documents, scale=self._scale, prompt=self._prompt
        )
        return self._dialect.body(request)

    def _read(self, answer: Any, n: int) -> RemoteResult:
        result = self._dialect.read(answer, n, self._scale)
        if self._scale == "probability":
            lowest, highest = float(result.rows.min()), float(result.rows.max())
            if lowest < -_ROUNDING or highest > 1.0 + _ROUNDING:
                msg = (
                    f"{self.spec.id!r} gave scores from {lowest:.3g} to {highest:.3g}, which are no probabilities; say "
                    f"what they are, as in {self._dialect.service.name}:...?scores=logit (or cosine, tanh)"
                )
                raise RemoteError(msg, status=200)
        return result

    def _result(
        self, groups: Mapping[str, Sequence[int]], found: Sequence[list[RemoteResult]], total_s: float
    ) -> BackendScores:
        scores: dict[int, float] = {}
        for places, parts in zip(groups.values(), found, strict=True):
            rows = [float(score) for part in parts for score in part.rows]
            scores.update(zip(places, rows, strict=True))
        parts = [part for some in found for part in some]
        usage = usage_of(parts, self._price, n_inputs=len(scores), total_s=total_s)
        return BackendScores.of([scores[place] for place in range(len(scores))], usage=usage)


def _made_again(owner: type[RemoteScorer], service: Any, model: str, options: Mapping[str, Any]) -> RemoteScorer:
    return owner(service, model, **options)
