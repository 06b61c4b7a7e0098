"""The calls of a reranker as steps: check the arguments, ask the backend for scores, make results of them."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Sequence
from dataclasses import replace

from rerank_plugins import inputs
from rerank_plugins.backends.protocol import NO_LIMIT, BackendScores, PairReading, Pairs, ScoreOptions
from rerank_plugins.calibration import Calibration
from rerank_plugins.calls.calibrating import check_scope
from rerank_plugins.calls.driving import MatchStep, ScoreStep, Steps
from rerank_plugins.calls.explaining import Explanation, Occlusion, TokenExplanation
from rerank_plugins.catalog.layers import resolve_layers
from rerank_plugins.catalog.spec import ModelSpec
from rerank_plugins.engine.deadline import Deadline
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.ranking.matches import TokenMatches
from rerank_plugins.ranking.order import to_probability
from rerank_plugins.ranking.results import ScoredPair, Selection, ranked_documents, scored_pairs
from rerank_plugins.text.pair_tokenizer import PairSettings
from rerank_plugins.text.tokenizer import is_blank
from rerank_plugins.types import LayerOptions, Ranking

__all__ = ["PairCalls"]

logger = logging.getLogger(__name__)

_TRUNCATED = "%d of %d documents were longer than max_length=%d and only partly read; %s (warned of once)"

_WAYS_OUT = {
    "truncate": "long_documents='maxp' reads all of them",
    "firstp": "long_documents='maxp' reads more than their first window",
}
_LONGER = "LongDocuments(max_characters=...) reads more of very long ones"


class PairCalls:
    """Ranking policy: what a reranker makes of the scores of its backend. Safe from any number of threads.

    Args:
        spec: How the model is used.
        settings: How pairs are cut.
        layers: What counts where a call asks for no layers.
        calibration: Makes the probabilities; None takes the model's own scale.
        deadline_s: Seconds after which a call gives up that asks for no deadline; None never does.

    Raises:
        InvalidInputError: The model has no such layers.
    """

    def __init__(
        self,
        spec: ModelSpec,
        settings: PairSettings,
        *,
        layers: LayerOptions | None,
        calibration: Calibration | None,
        deadline_s: float | None,
    ) -> None:
        self._spec, self._settings, self._calibration = spec, settings, calibration
        self._deadline_s = deadline_s
        self.layers = resolve_layers(spec.layers, requested=layers)
        # What users of the weights were told: an application may open the same model for each request.
        self.told: dict[Hashable, object] = {}

    def score(self, pairs: object, *, layers: LayerOptions | None, deadline_s: float | None) -> Steps[list[float]]:
        """Score pairs: one raw score each."""
        step = self._step(inputs.check_pairs(pairs), self.one_layer(layers), deadline_s)
        return self.scores((yield step))

    def known_scores(self, pairs: object) -> Steps[list[float | None]]:
        """Score pairs: one raw score each, None where what the backend gave only stands for one."""
        found = yield self._step(inputs.check_pairs(pairs), self.one_layer(None), None)
        scores, start = list[float | None](), 0
        for score, reading in zip(self.scores(found), found.readings, strict=True):
            end = start + reading.n_inputs
            scores.append(None if any(row in found.provisional for row in range(start, end)) else score)
            start = end
        return scores

    def score_layers(
        self, pairs: object, *, layers: LayerOptions | None, deadline_s: float | None
    ) -> Steps[list[list[float]]]:
        """Score pairs on several layers: the raw scores of each in the order of ``cutoff_layers``."""
        resolved = self._all_layers(layers)
        found = yield self._step(inputs.check_pairs(pairs), resolved, deadline_s)
        self._tell_truncation(found.readings)
        by_layer = {
            layer: [pair.score for pair in self._scored(found, column=column)]
            for column, layer in enumerate(_ascending(resolved))
        }
        columns = resolved.cutoff_layers or ()
        return [[by_layer[layer][index] for layer in columns] for index in range(len(found.readings))]

    def rank(
        self,
        query: object,
        documents: object,
        selection: Selection,
        *,
        layers: LayerOptions | None,
        deadline_s: float | None,
    ) -> Steps[Ranking]:
        """Rank documents: the selected ones from best to worst."""
        options = self.one_layer(layers)
        checked, candidates = inputs.check_query(query), inputs.check_documents(documents)
        texts = [None if one.text is None else inputs.plain_text(one.text) for one in candidates]
        step = self._step([(checked, text) for text in texts], options, deadline_s)
        found = yield replace(step, options=replace(step.options, top_n=selection.top_n))
        self._tell_truncation(found.readings)
        scored = self._scored(found, column=0)
        ranked = ranked_documents(candidates, found.readings, scored, probability_of=self.probability)
        return Ranking(selection.of(ranked), usage=found.usage)

    def explain(
        self, query: str, document: str, *, max_spans: int, layers: LayerOptions | None, deadline_s: float | None
    ) -> Steps[Explanation]:
        """Explain a score: first the window that counts, then every version of it; one deadline for both steps."""
        check_scope(self._spec, {"explain()": True})
        if self._spec.late_interaction is not None:
            return (yield from self._match(query, document, layers=layers, deadline_s=deadline_s))
        plan = Occlusion.of(query, document, max_spans=max_spans)
        options = self._options(self.one_layer(layers), deadline_s)
        first = yield ScoreStep([(plan.query, plan.document)], options)
        self._tell_truncation(first.readings)
        plan = plan.within(self._scored(first, column=0)[0].window)
        return plan.explained(self.scores((yield ScoreStep(plan.pairs, options))))

    def _match(
        self, query: str, document: str, *, layers: LayerOptions | None, deadline_s: float | None
    ) -> Steps[TokenExplanation]:
        """Explain a score of late interaction by what it is made of."""
        checked, (candidate,) = inputs.check_query(query), inputs.check_documents([document])
        if candidate.text is None or is_blank(candidate.text):
            msg = "a blank document has no tokens that could answer; its score is BLANK_DOCUMENT_SCORE"
            raise InvalidInputError(msg)
        options = self._options(self.one_layer(layers), deadline_s)
        text = inputs.plain_text(candidate.text)
        found = yield MatchStep(checked, text, options)
        self._tell_truncation([found])
        return TokenExplanation.of(checked, text, found)

    def scores(self, found: BackendScores) -> list[float]:
        """Return one raw score per pair."""
        self._tell_truncation(found.readings)
        return [pair.score for pair in self._scored(found, column=0)]

    def stream_options(self, layers: LayerOptions | None, deadline_s: float | None) -> ScoreOptions:
        """Return what a stream asks of a backend for all of its pairs; its clock starts here."""
        check_scope(self._spec, {"score_stream()": True})
        options = self._options(self.one_layer(layers), deadline_s)
        return replace(options, deadline=Deadline(inputs.check_deadline(deadline_s)))

    def probability(self, score: float) -> float:
        """Return a raw score in [0, 1], by the calibration or the model's own scale."""
        if self._calibration is not None:
            return self._calibration.probability(score)
        return to_probability(score, scale=self._spec.score_scale, highest=self._spec.highest_score)

    def one_layer(self, requested: LayerOptions | None) -> LayerOptions | None:
        """Return the complete options of a call that wants one score a pair.

        Raises:
            InvalidInputError: More than one layer is asked for, the model cannot do what is asked, or the layers are
                not those of the calibration.
        """
        resolved = resolve_layers(self._spec.layers, requested=requested, default=self.layers)
        if self._calibration is not None and resolved != self.layers:
            msg = (
                f"this reranker is calibrated for {self.layers}, and a call asks for {resolved}, whose scores mean "
                "something else; use another Reranker for other layers"
            )
            raise InvalidInputError(msg)
        layers = () if resolved is None else resolved.cutoff_layers or ()
        if len(layers) > 1:
            msg = (
                f"score() and rank() give one score a pair, and cutoff_layers={layers} asks for {len(layers)}; "
                "give one layer, or use score_layers()"
            )
            raise InvalidInputError(msg)
        return resolved

    def _all_layers(self, requested: LayerOptions | None) -> LayerOptions:
        """Return the complete options of a call that wants the scores of every requested layer.

        Raises:
            InvalidInputError: The model has one score a pair only, or cannot do what is asked.
        """
        resolved = resolve_layers(self._spec.layers, requested=requested, default=self.layers)
        if resolved is None:
            msg = f"{self._spec.id!r} has one score a pair and no layers to choose; use score()"
            raise InvalidInputError(msg)
        return resolved

    def _step(self, pairs: Pairs, layers: LayerOptions | None, deadline_s: float | None) -> ScoreStep:
        return ScoreStep(pairs, self._options(layers, deadline_s))

    def _options(self, layers: LayerOptions | None, deadline_s: float | None) -> ScoreOptions:
        checked_s = inputs.check_deadline(deadline_s)
        if layers is not None:
            # Calls that differ in the order of their layers only share batches.
            layers = replace(layers, cutoff_layers=_ascending(layers))
        return ScoreOptions(deadline=Deadline(self._deadline_s if checked_s is None else checked_s), layers=layers)

    def _scored(self, found: BackendScores, *, column: int) -> list[ScoredPair]:
        values: list[float] = found.rows[:, column].tolist() if len(found.rows) else []
        return scored_pairs(found.readings, values, long_documents=self._settings.long_documents, stages=found.stages)

    def _tell_truncation(self, readings: Sequence[PairReading | TokenMatches]) -> None:
        n_truncated = sum(one.truncated for one in readings)
        # A backend without a limit of its own did not cut them; the model behind it did, and reports it.
        if not n_truncated or self._settings.max_length_tokens == NO_LIMIT:
            return
        way_out = _WAYS_OUT.get(self._settings.long_documents.strategy, _LONGER)
        cause = (_TRUNCATED, self._settings.max_length_tokens, way_out)
        mine = object()
        # One step, so that of threads which come at the same time one warns.
        level = logging.WARNING if self.told.setdefault(cause, mine) is mine else logging.DEBUG
        logger.log(level, _TRUNCATED, n_truncated, len(readings), self._settings.max_length_tokens, way_out)


def _ascending(options: LayerOptions) -> tuple[int, ...]:
    return tuple(sorted(set(options.cutoff_layers or ())))
