"""A checkpoint on this machine: texts to ids, ids through the engine."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rerank_plugins.backends.protocol import BackendScores, Pairs, ScoreOptions
from rerank_plugins.catalog.spec import ModelSpec
from rerank_plugins.engine.calls import Answer, KnownRows, usage_of
from rerank_plugins.engine.deadline import Deadline
from rerank_plugins.engine.registry import Lease
from rerank_plugins.engine.reply import Reply
from rerank_plugins.text.pair_inputs import pair_inputs
from rerank_plugins.text.pair_tokenizer import EncodedPair, PairSettings
from rerank_plugins.types import EngineOptions

if TYPE_CHECKING:
    from rerank_plugins.backends.loaded import LoadedModel

__all__ = ["LocalScorer"]


@dataclass(frozen=True, slots=True, eq=False)
class _Queued:
    """A call in the engine's queue."""

    encoded: Sequence[EncodedPair]
    reply: Reply[Answer]
    deadline: Deadline
    tokenize_s: float

    def result(self) -> BackendScores:
        return self.scores(self.deadline.wait(self.reply))

    def cancel(self) -> bool:
        return self.reply.cancel()

    def scores(self, answer: Answer) -> BackendScores:
        inputs = [one for pair in self.encoded for one in pair.inputs]
        return BackendScores(answer.rows, self.encoded, usage_of(answer, inputs, tokenize_s=self.tokenize_s))


class LocalScorer:
    """Scores pairs on one loaded model with one set of settings. Safe from any number of threads.

    Args:
        lease: The share in the model.
        spec: How the model is used.
        settings: How pairs are cut.
        engine: How calls are run.
        known: Rows of earlier calls; None for none.

    Raises:
        InvalidInputError: The settings leave no room for texts.
    """

    def __init__(
        self,
        lease: Lease[LoadedModel],
        spec: ModelSpec,
        settings: PairSettings,
        *,
        engine: EngineOptions,
        known: KnownRows | None,
    ) -> None:
        self._lease, self.spec = lease, spec
        cached = replace(settings, use_token_cache=engine.token_cache)
        self._pairs = pair_inputs(lease.value.tokenizer, spec, cached)
        self._engine, self._known = engine, known

    @property
    def device(self) -> str:
        """Where the model runs, in torch's words."""
        return self._lease.value.device

    def on(self, lease: Lease[LoadedModel]) -> LocalScorer:
        """Return the same on another share in the same model."""
        made = copy(self)
        made._lease = lease
        return made

    def score(self, pairs: Pairs, options: ScoreOptions) -> BackendScores:
        """Send pairs through the model.

        Raises:
            DeadlineExceededError: The time is over.
            OverloadedError: Too much work waits already.
            ScoringError: The model returned NaN or infinity.
            EngineClosedError: The model was closed.
        """
        encoded, tokenize_s = self._timed_encode(pairs)
        options.deadline.check()
        return self._queue(encoded, tokenize_s, options).result()

    async def ascore(self, pairs: Pairs, options: ScoreOptions) -> BackendScores:
        """Do what :meth:`score` does, without blocking the event loop."""
        encoded, tokenize_s = await asyncio.to_thread(self._timed_encode, pairs)
        options.deadline.check()
        queued = self._queue(encoded, tokenize_s, options)
        return queued.scores(await options.deadline.await_result(queued.reply))

    def submit(self, pairs: Pairs, options: ScoreOptions) -> _Queued:
        """Queue pairs; their windows are not returned, so that a stream keeps nothing of the texts."""
        whole, tokenize_s = self._timed_encode(pairs)
        # The tokenizer's records would stay in memory between two forwards.
        encoded = [replace(pair, document=None) for pair in whole]
        return self._queue(encoded, tokenize_s, options)

    def encode(self, pairs: Pairs) -> list[EncodedPair]:
        """Return the model inputs of each pair."""
        return self._pairs.encode(pairs)

    def close(self) -> None:
        """Nothing: whoever holds the share in the model gives it back."""

    def _timed_encode(self, pairs: Pairs) -> tuple[list[EncodedPair], float]:
        start_s = time.perf_counter()
        encoded = self.encode(pairs)
        return encoded, time.perf_counter() - start_s

    def _queue(self, encoded: Sequence[EncodedPair], tokenize_s: float, options: ScoreOptions) -> _Queued:
        inputs = [one for pair in encoded for one in pair.inputs]
        batcher = self._lease.value.batcher
        reply = batcher.submit(inputs, options=options.layers, limits=self._engine, known=self._known)
        return _Queued(encoded, reply, options.deadline, tokenize_s)
