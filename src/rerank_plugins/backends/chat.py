"""The backend that ranks with a chat model: any model, any method, one class."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from hashlib import blake2b
from typing import Annotated, Any

from rerank_plugins.backends.protocol import (
    NO_LIMIT,
    BackendScores,
    Pairs,
    ScoreOptions,
    reranker_spec,
)
from rerank_plugins.backends.queries import places_by_query
from rerank_plugins.catalog.spec import ModelSpec
from rerank_plugins.chat.asking import CallCounts, ChatContext, Requests, answered, together
from rerank_plugins.chat.fencing import Fencing
from rerank_plugins.chat.limits import ChatLimits, ChatPrice
from rerank_plugins.chat.methods import METHODS, MethodName, RankingMethod
from rerank_plugins.chat.model import ChatModel
from rerank_plugins.chat.running import Runner
from rerank_plugins.checks.arguments import checked_call
from rerank_plugins.checks.kinds import Within, shown
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.types import CallUsage

__all__ = ["ChatScorer"]

_Scores = list[list[float | None]]

Temperature = Annotated[float, Within(0.0, 2.0)]

_USUAL_WORDS = 332
"""RankGPT reads the first 300 words of a passage; with a query of 32. ``Reranker(max_length=...)`` says otherwise."""


class ChatScorer:
    """Ranks with a chat model. ``Reranker(backend=ChatScorer(model))`` is what uses it.

    With :class:`~rerank_plugins.chat.Pointwise` a score is a probability. The other methods compare documents: the
    score of one is 1 / its rank among those of its query in the call, so that a threshold of 0.2 in either unit keeps
    the best five. Such scores cannot be cached, calibrated or streamed.

    Whatever the model says, every document comes back once. What had to be put right is counted in
    ``ranking.usage.chat``, an object of :class:`~rerank_plugins.types.ChatUsage`.

    Args:
        model: The chat model: an :class:`~rerank_plugins.chat.OpenAIChat`, a ``LocalChat``, or any object with the
            methods of a :class:`~rerank_plugins.chat.ChatModel`. It stays the caller's to close.
        method: ``pointwise``, ``pairwise``, ``setwise`` or ``listwise``, each with its defaults, or an object of
            :mod:`rerank_plugins.chat` with others, such as ``Listwise(window=10, step=5)``.
        limits: How many calls run at the same time, how long one may take; None takes the defaults.
        price: What tokens cost; None reports no cost.
        is_fenced: Whether passages stand between marks that their writers cannot know, and the prompt says what that
            means. False gives the published prompts to the letter.
        temperature: Of every call; None leaves it to the model.

    Raises:
        InvalidInputError: ``model`` or ``method`` is none.
    """

    @checked_call(unchecked=("model", "method"))
    def __init__(
        self,
        model: ChatModel,
        *,
        method: MethodName | RankingMethod = "listwise",
        limits: ChatLimits | None = None,
        price: ChatPrice | None = None,
        is_fenced: bool = True,
        temperature: Temperature | None = 0.0,
    ) -> None:
        if not isinstance(model, ChatModel) or isinstance(model, type):
            msg = (
                f"model must have name, offers_schema, complete, acomplete and close, as a {ChatModel.__name__} of "
                f"rerank_plugins.chat has, got {shown(model)}; derive it from SimpleChatModel"
            )
            raise InvalidInputError(msg)
        self._method = _method(method)
        self._model, self._price, self._limits = model, price, limits or ChatLimits()
        self._context = ChatContext(model, Fencing(is_fenced), temperature)
        self._runner = Runner(model, self._limits)
        self.spec = _spec(model.name, self._method, self._context)

    @property
    def model(self) -> ChatModel:
        """The chat model."""
        return self._model

    @property
    def method(self) -> RankingMethod:
        """How it ranks."""
        return self._method

    @property
    def device(self) -> str:
        """Where the model runs, if it says so."""
        return str(getattr(self._model, "host", ""))

    def score(self, pairs: Pairs, options: ScoreOptions) -> BackendScores:
        """Return the scores of pairs; all of one query are ranked together.

        Raises:
            DeadlineExceededError: The time is over.
            RemoteError: The model cannot be reached or refuses the key, or ``on_failure`` says so.
            ScoringError: The model raised something else.
        """
        start_s, groups = time.perf_counter(), places_by_query(pairs)
        counts, lost = [CallCounts() for _ in groups], CallCounts()
        steps = self._answered(groups, pairs, counts)
        with self._telling(options, [*counts, lost], len(pairs), start_s):
            found = self._runner.run(steps, options.deadline, lost.note)
        return self._result(groups, found, counts, time.perf_counter() - start_s)

    async def ascore(self, pairs: Pairs, options: ScoreOptions) -> BackendScores:
        """Return what :meth:`score` returns, without blocking the event loop; a cancelled task drops its calls."""
        start_s, groups = time.perf_counter(), places_by_query(pairs)
        counts, lost = [CallCounts() for _ in groups], CallCounts()
        steps = self._answered(groups, pairs, counts)
        with self._telling(options, [*counts, lost], len(pairs), start_s):
            found = await self._runner.arun(steps, options.deadline, lost.note)
        return self._result(groups, found, counts, time.perf_counter() - start_s)

    def close(self) -> None:
        """Nothing: the model is the caller's."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _made_again, (type(self), self._model, self._options())

    def _options(self) -> dict[str, Any]:
        return {
            "method": self._method,
            "limits": self._limits,
            "price": self._price,
            "is_fenced": self._context.fencing.is_used,
            "temperature": self._context.temperature,
        }

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._model.name!r}, method={self._method!r})"

    def _answered(
        self, groups: Mapping[str, Sequence[int]], pairs: Pairs, counts: Sequence[CallCounts]
    ) -> Requests[_Scores]:
        """Return the steps of all queries side by side, each with calls and counts of its own."""
        limits = self._limits
        queries = [
            answered(
                self._method.scores(self._context, query, [pairs[place][1] or "" for place in places]),
                of_query,
                is_repaired=limits.repairs,
                max_calls=limits.max_calls,
            )
            for (query, places), of_query in zip(groups.items(), counts, strict=True)
        ]
        return together(queries)

    def _result(
        self,
        groups: Mapping[str, Sequence[int]],
        found: Sequence[Sequence[float | None]],
        counts: Sequence[CallCounts],
        total_s: float,
    ) -> BackendScores:
        scores: dict[int, float | None] = {}
        for places, some in zip(groups.values(), found, strict=True):
            scores.update(zip(places, some, strict=True))
        n = len(scores)
        usage = self._usage(counts, n, total_s)
        missing = frozenset(place for place in range(n) if scores[place] is None)
        return BackendScores.of((scores[place] or 0.0 for place in range(n)), usage=usage, provisional=missing)

    def _usage(self, counts: Sequence[CallCounts], n_inputs: int, total_s: float) -> CallUsage:
        total = CallCounts.sum_of(counts)
        price, prompt, answer = self._price, total.prompt_tokens, total.answer_tokens
        return CallUsage(
            tokenize_ms=0.0,
            queue_ms=0.0,
            forward_ms=total_s * 1e3,
            inputs=n_inputs,
            tokens=prompt + answer,
            reused_inputs=0,
            chat=total.usage(None if price is None else price.of(prompt_tokens=prompt, answer_tokens=answer)),
        )

    @contextmanager
    def _telling(
        self, options: ScoreOptions, counts: Sequence[CallCounts], n_inputs: int, start_s: float
    ) -> Iterator[None]:
        """Tell what a call had taken that ends with an error."""
        try:
            yield
        except BaseException:
            options.spent.append(self._usage(counts, n_inputs, time.perf_counter() - start_s))
            raise


def _method(method: object) -> RankingMethod:
    if isinstance(method, str) and method in METHODS:
        return METHODS[method]
    if isinstance(method, RankingMethod) and not isinstance(method, type):
        return method
    names = ", ".join(repr(name) for name in METHODS)
    msg = f"method must be one of {names}, or an object such as Listwise(window=10, step=5); got {shown(method)}"
    raise InvalidInputError(msg)


def _spec(name: str, method: RankingMethod, context: ChatContext) -> ModelSpec:
    """Return what is known of the scores; the revision tells methods and prompts apart."""
    settings = f"{method!r} {context.fencing.is_used} {context.temperature}".encode("utf-8", "backslashreplace")
    revision = f"{type(method).__name__.lower()}-{blake2b(settings, digest_size=6).hexdigest()}"
    scope = "call" if method.compares else "model"
    spec = reranker_spec(name, score_scale="probability", score_scope=scope, revision=revision)  # type: ignore[arg-type]
    return replace(spec, default_max_length_tokens=_USUAL_WORDS, max_length_tokens=NO_LIMIT)


def _made_again(owner: type[ChatScorer], model: ChatModel, options: Mapping[str, Any]) -> ChatScorer:
    return owner(model, **options)
