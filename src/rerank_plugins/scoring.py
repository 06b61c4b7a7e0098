"""What lies between texts and results on one loaded model: encode, run, put the numbers together."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from concurrent.futures import Future
from copy import copy
from dataclasses import dataclass, replace

from rerank_plugins.calibration import Calibration
from rerank_plugins.catalog.layers import settle_layers
from rerank_plugins.catalog.spec import ModelSpec
from rerank_plugins.engine.calls import Answer, KnownRows, Rows, usage_of
from rerank_plugins.engine.deadline import Deadline
from rerank_plugins.engine.registry import Lease
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.observing import StartedCall
from rerank_plugins.opening import LoadedModel
from rerank_plugins.ranking.order import to_probability
from rerank_plugins.ranking.results import ScoredPair, Selection, ranked_documents, scored_pairs
from rerank_plugins.text.encoders import pair_inputs
from rerank_plugins.text.pair_encoder import EncodedPair, PairSettings
from rerank_plugins.types import CallUsage, EngineOptions, LayerOptions, Ranking

__all__ = ["FinishedCall", "PairScoring"]

logger = logging.getLogger(__name__)

_TRUNCATED = (
    "%d of %d documents were longer than max_length=%d and only partly read; "
    "long_documents='maxp' reads all of them (this is told once)"
)

_Pairs = Sequence[tuple[str, str | None]]


@dataclass(frozen=True, slots=True, eq=False)
class FinishedCall:
    """Pairs that went through the model.

    Attributes:
        encoded: The model inputs of each pair.
        answer: What the engine gave back.
        tokenize_s: Seconds that making the inputs took.
    """

    encoded: Sequence[EncodedPair]
    answer: Answer
    tokenize_s: float

    @property
    def rows(self) -> Rows:
        """The numbers, one row per model input."""
        return self.answer.rows

    @property
    def usage(self) -> CallUsage:
        """What the call took."""
        return usage_of(self.answer, [one for pair in self.encoded for one in pair.inputs], tokenize_s=self.tokenize_s)


class PairScoring:
    """Scores pairs on one model with one set of settings. Safe from any number of threads.

    Args:
        lease: The share in the model.
        spec: How the model is used.
        settings: How pairs are cut.
        layers: What counts where a call asks for no layers.
        calibration: Makes the probabilities; None takes the model's own scale.
        engine: How calls are run.
        known: Rows of earlier calls; None for none.

    Raises:
        InvalidInputError: The settings leave no room for texts, or the model has no such layers.
    """

    def __init__(
        self,
        lease: Lease[LoadedModel],
        spec: ModelSpec,
        settings: PairSettings,
        *,
        layers: LayerOptions | None,
        calibration: Calibration | None = None,
        engine: EngineOptions,
        known: KnownRows | None,
    ) -> None:
        self._lease, self._spec, self._settings = lease, spec, settings
        cached = replace(settings, use_token_cache=engine.token_cache)
        self._pairs = pair_inputs(lease.value.encoder, spec, cached)
        self._engine, self._known = engine, known
        self.layers = settle_layers(spec.layers, asked=layers)
        self._calibration = calibration
        self._told_truncation = False

    def on(self, lease: Lease[LoadedModel]) -> PairScoring:
        """Return the same on another share in the same model."""
        made = copy(self)
        made._lease = lease
        return made

    def run(self, pairs: _Pairs, options: LayerOptions | None, *, deadline_s: float | None = None) -> FinishedCall:
        """Send pairs through the model; the rows have a column for each different layer, the lowest first.

        Args:
            pairs: What to score.
            options: Complete layer options.
            deadline_s: Seconds from now after which to give up; None takes the engine options' own.

        Raises:
            DeadlineExceededError: The time is over.
            OverloadedError: Too much work waits already.
            ScoringError: The model returned NaN or infinity.
            EngineClosedError: The model was closed.
        """
        deadline = self._deadline(deadline_s)
        with self.started() as call:
            encoded, tokenize_s = self.timed_encode(pairs)
            deadline.check()
            done = FinishedCall(encoded, deadline.wait(self.submit(encoded, options)), tokenize_s)
            call.usage = done.usage
        return done

    async def arun(
        self, pairs: _Pairs, options: LayerOptions | None, *, deadline_s: float | None = None
    ) -> FinishedCall:
        """Do what :meth:`run` does, without blocking the event loop."""
        deadline = self._deadline(deadline_s)
        with self.started() as call:
            encoded, tokenize_s = await asyncio.to_thread(self.timed_encode, pairs)
            deadline.check()
            answer = await deadline.await_result(self.submit(encoded, options))
            done = FinishedCall(encoded, answer, tokenize_s)
            call.usage = done.usage
        return done

    def encode(self, pairs: _Pairs) -> list[EncodedPair]:
        """Return the model inputs of each pair."""
        return self._pairs.encode(pairs)

    def timed_encode(self, pairs: _Pairs) -> tuple[list[EncodedPair], float]:
        """Return the model inputs of each pair, and the seconds that making them took."""
        start_s = time.perf_counter()
        encoded = self.encode(pairs)
        return encoded, time.perf_counter() - start_s

    def started(self) -> StartedCall:
        """Return the record of a call that begins now, a block to run it in."""
        return StartedCall("rerank", model=self._spec.id, device=self._lease.value.device)

    def _deadline(self, asked_s: float | None) -> Deadline:
        return Deadline(self._engine.deadline_s if asked_s is None else asked_s)

    def all_layers(self, asked: LayerOptions | None) -> LayerOptions:
        """Return the complete options of a call that wants the scores of every asked layer.

        Raises:
            InvalidInputError: The model has one score a pair only, or cannot do what is asked.
        """
        settled = settle_layers(self._spec.layers, asked=asked, usual=self.layers)
        if settled is None:
            msg = f"{self._spec.id!r} has one score a pair and no layers to choose; use score()"
            raise InvalidInputError(msg)
        return settled

    def one_layer(self, asked: LayerOptions | None) -> LayerOptions | None:
        """Return the complete options of a call that wants one score a pair.

        Raises:
            InvalidInputError: More than one layer is asked for, the model cannot do what is asked, or the layers are
                not those of the calibration.
        """
        settled = settle_layers(self._spec.layers, asked=asked, usual=self.layers)
        if self._calibration is not None and settled != self.layers:
            msg = (
                f"this reranker is calibrated for {self.layers}, and a call asks for {settled}, whose scores mean "
                "something else; use another Reranker for other layers"
            )
            raise InvalidInputError(msg)
        layers = () if settled is None else settled.cutoff_layers or ()
        if len(layers) > 1:
            msg = (
                f"score() and rank() give one score a pair, and cutoff_layers={layers} asks for {len(layers)}; "
                "give one layer, or use score_layers()"
            )
            raise InvalidInputError(msg)
        return settled

    def submit(self, encoded: Sequence[EncodedPair], options: LayerOptions | None) -> Future[Answer]:
        """Queue the inputs."""
        if options is not None:
            # Calls that differ in the order of their layers only share batches.
            options = replace(options, cutoff_layers=_ascending(options))
        inputs = [one for pair in encoded for one in pair.inputs]
        return self._lease.value.batcher.submit(inputs, options=options, limits=self._engine, known=self._known)

    def scores(self, done: FinishedCall) -> list[float]:
        """Return one raw score per pair."""
        self._tell_truncation(done.encoded)
        return [pair.score for pair in self._scored(done, column=0)]

    def layer_scores(self, done: FinishedCall, options: LayerOptions) -> list[list[float]]:
        """Return the raw scores of each pair, in the order of ``options.cutoff_layers``."""
        self._tell_truncation(done.encoded)
        by_layer = {
            layer: [pair.score for pair in self._scored(done, column=column)]
            for column, layer in enumerate(_ascending(options))
        }
        return [[by_layer[layer][index] for layer in options.cutoff_layers or ()] for index in range(len(done.encoded))]

    def ranked(self, pairs: _Pairs, done: FinishedCall, selection: Selection) -> Ranking:
        """Return the selected ones of the pairs' documents, from best to worst."""
        self._tell_truncation(done.encoded)
        documents = [document for _, document in pairs]
        scored = self._scored(done, column=0)
        ranked = ranked_documents(documents, done.encoded, scored, probability_of=self.probability)
        return Ranking(selection.of(ranked), usage=done.usage)

    def probability(self, score: float) -> float:
        """Return a raw score in [0, 1], by the calibration or the model's own scale."""
        if self._calibration is not None:
            return self._calibration.probability(score)
        return to_probability(score, scale=self._spec.score_scale)

    def _scored(self, done: FinishedCall, *, column: int) -> list[ScoredPair]:
        values: list[float] = done.rows[:, column].tolist() if len(done.rows) else []
        return scored_pairs(done.encoded, values, long_documents=self._settings.long_documents)

    def _tell_truncation(self, encoded: Sequence[EncodedPair]) -> None:
        n_truncated = sum(pair.truncated for pair in encoded)
        if not n_truncated:
            return
        level = logging.DEBUG if self._told_truncation else logging.WARNING
        self._told_truncation = True
        logger.log(level, _TRUNCATED, n_truncated, len(encoded), self._settings.max_length_tokens)


def _ascending(options: LayerOptions) -> tuple[int, ...]:
    return tuple(sorted(set(options.cutoff_layers or ())))
