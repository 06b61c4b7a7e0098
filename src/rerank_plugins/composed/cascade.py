"""Cascades: cheap models order many documents, dear ones the few that are left."""

from __future__ import annotations

import logging
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field

from rerank_plugins.backends.protocol import BackendScores, Pairs, ScoreOptions, reranker_spec
from rerank_plugins.checks.arguments import checked_call
from rerank_plugins.composed.grouping import by_query, identity_of, stage_usage, summed_usage, telling
from rerank_plugins.composed.members import BudgetMs, OpenModel, Stage, listed_stages, opened
from rerank_plugins.composed.naming import cascade_text
from rerank_plugins.composed.pace import Pace
from rerank_plugins.composed.scale import UNREAD_SCORE, descending, log_odds
from rerank_plugins.composed.work import Work, adrive_work, drive_work
from rerank_plugins.engine.deadline import Deadline
from rerank_plugins.errors import DeadlineExceededError
from rerank_plugins.types import CallUsage, RankedDocument, Ranking, StageScore

__all__ = ["CascadeScorer"]

logger = logging.getLogger(__name__)

_Steps = Generator[Work, "Ranking | Exception", BackendScores]


@dataclass(slots=True, eq=False)
class _Query:
    """The documents of one query on their way through the stages.

    Attributes:
        places: Each document's place in the call.
        order: Numbers of the documents, best first, as the stages so far leave them.
        n_kept: How many of these the last stage read; all before the first.
        values: Each document's log-odds by the last stage that scored it.
        probabilities: Likewise its probability; 0 before any stage.
        stage_scores: Scores that the stages gave each pair.
    """

    query: str
    texts: Sequence[str]
    places: Sequence[int]
    order: list[int] = field(init=False)
    n_kept: int = field(init=False)
    values: list[float] = field(init=False)
    probabilities: list[float] = field(init=False)
    stage_scores: list[tuple[StageScore, ...]] = field(init=False)

    def __post_init__(self) -> None:
        n = len(self.texts)
        self.order, self.n_kept, self.values = list(range(n)), n, [UNREAD_SCORE] * n
        self.probabilities, self.stage_scores = [0.0] * n, [()] * n

    def read_by(self, stage: Stage) -> list[int]:
        """Return the documents that a stage reads: the best of those that the one before read."""
        read = self.order[: self.n_kept][: stage.depth]
        if stage.min_probability is None:
            return read
        return [one for one in read if self.probabilities[one] >= stage.min_probability]

    def characters(self, read: Sequence[int]) -> int:
        """Return the characters of so many pairs."""
        return sum(len(self.query) + len(self.texts[one]) for one in read)

    def place(self, read: Sequence[int], ranked: Sequence[RankedDocument], model: OpenModel) -> None:
        """Put the documents that a stage read into its order, in front of the others."""
        for one in ranked:
            number = read[one.index]
            score = StageScore(name=model.name, score=one.score, probability=one.probability, truncated=one.truncated)
            self.values[number] = log_odds(model.reranker, one.score)
            self.probabilities[number] = one.probability
            self.stage_scores[number] = (*self.stage_scores[number], score)
        seen = set(read)
        self.n_kept = len(read)
        self.order = [read[one.index] for one in ranked] + [one for one in self.order if one not in seen]

    def scores(self) -> list[float]:
        """Return the final score of each document, in the order of the texts."""
        in_order = descending([self.values[one] for one in self.order], [self.places[one] for one in self.order])
        return [score for _, score in sorted(zip(self.order, in_order, strict=True))]


class CascadeScorer:
    """A backend of several stages, each of which orders what the one before it ordered best.

    The first stage reads the first ``depth`` documents of a query, the next one the best of these, and so on. What a
    stage does not read stays behind what it reads, in the order before it.

    *Scores* are log-odds of relevance: log(p / (1 - p)) of the probability by the last stage that read the document,
    with that stage's calibration if it has one (for a model whose scores are logits, without calibration, its own
    scores). They never contradict the order: a document that a stage did not read gets at most the score of the last
    one that it read, so documents kept for a deeper stage never fall below those that were not. What no stage read
    has :data:`~rerank_plugins.composed.scale.UNREAD_SCORE`. Scores depend on the other documents of the query
    (``score_scope``).

    *Time.* ``budget_ms`` is for each query of a call. Before a stage but the first is started, its time is estimated
    from its last calls (:class:`~rerank_plugins.composed.pace.Pace`); one that would not end within what is left is
    not started, nor is any after it. A stage without an earlier call is started if any time is left. A stage that is
    still running when the budget is over is given up, and its documents keep the order before it; a first stage that
    is given up leaves the order of the call. A deadline of the call counts as a budget when stages are started; when
    it is over, the call ends with its error, as everywhere.

    *Faults.* A stage after the first that fails is treated like one that is late, with a warning in the log; an error
    of the first is the call's. ``RankedDocument.stages`` says which stages scored a document, ``CallUsage.stages``
    what became of each; tokens and costs of a chat model or a service count in a stage that failed too.

    Args:
        stages: :class:`~rerank_plugins.composed.members.Stage` objects, models, or pairs of a model and its depth.
            The depths must not grow.
        budget_ms: Milliseconds for each query; None sets no limit.

    Raises:
        InvalidInputError: There is no stage, one cannot work where it stands, or the budget is not above 0.
        ModelError: A model cannot be loaded.
    """

    @checked_call(unchecked=("stages",))
    def __init__(self, stages: object, *, budget_ms: BudgetMs | None = None) -> None:
        self._stages = listed_stages(stages)
        self._budget_ms = budget_ms
        self._models: list[OpenModel] = []
        try:
            for one in self._stages:
                self._models.append(opened(one))
        except BaseException:
            self.close()
            raise
        self._paces = [Pace() for _ in self._stages]
        self.name = cascade_text(self._stages, budget_ms=budget_ms)
        self.spec = reranker_spec(
            self.name.text, score_scope="call", revision=identity_of(self._stages, self._models, self._budget_ms)
        )
        self.device = ",".join(dict.fromkeys(one.reranker.device for one in self._models if one.reranker.device))

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The stages, in the order in which they run."""
        return self._stages

    @property
    def budget_ms(self) -> float | None:
        """Milliseconds for each query; None for no limit."""
        return self._budget_ms

    def score(self, pairs: Pairs, options: ScoreOptions) -> BackendScores:
        """Return the score of each pair beside the other pairs of its query.

        Raises:
            DeadlineExceededError: The call's deadline is over.
            ScoringError: The first stage failed.
        """
        return drive_work(self._steps(pairs, options))

    async def ascore(self, pairs: Pairs, options: ScoreOptions) -> BackendScores:
        """Return what :meth:`score` returns, without blocking the event loop."""
        return await adrive_work(self._steps(pairs, options))

    def close(self) -> None:
        """Close the stages that were opened here."""
        for one in self._models:
            one.close()

    def __reduce__(self) -> tuple[object, ...]:
        return _opened_again, (self._stages, self._budget_ms)

    def _steps(self, pairs: Pairs, options: ScoreOptions) -> _Steps:
        scores, stage_scores = [0.0] * len(pairs), [()] * len(pairs)  # type: list[float], list[tuple[StageScore, ...]]
        usages: list[CallUsage] = []
        with telling(options, usages, n_stages=len(self._stages), n_inputs=len(pairs)):
            for query, places in by_query(pairs).items():
                one = _Query(query, [pairs[place][1] or "" for place in places], places)
                yield from self._through_stages(one, options, usages)
                for place, score, stages in zip(places, one.scores(), one.stage_scores, strict=True):
                    scores[place], stage_scores[place] = score, stages
        usage = summed_usage(usages, n_stages=len(self._stages), n_inputs=len(pairs))
        return BackendScores.of(scores, usage=usage, stages=stage_scores)

    def _through_stages(
        self, one: _Query, options: ScoreOptions, usages: list[CallUsage]
    ) -> Generator[Work, Ranking | Exception, None]:
        budget = Deadline(None if self._budget_ms is None else self._budget_ms / 1e3)
        stopped = False
        for number, (stage, model) in enumerate(zip(self._stages, self._models, strict=True)):
            read = one.read_by(stage)
            left_s = _least(budget.remaining_s(), options.deadline.left_s())
            skipped = "stopped" if stopped else self._why_not(number, one.characters(read), len(read), left_s)
            if skipped:
                one.n_kept = len(read)
                usages.append(stage_usage(model.name, 0, 0.0, skipped))
            else:
                start_s = time.perf_counter()
                found = yield Work(model, one.query, [one.texts[place] for place in read], left_s)
                ms = (time.perf_counter() - start_s) * 1e3
                # Of a stage that failed too: what it was answered by then costs the same.
                usage = getattr(found, "usage", None)
                usages.append(stage_usage(model.name, len(read), ms, "", usage))
                skipped = self._taken(number, one, read, found, options, ms)
                usages[-1] = stage_usage(model.name, len(read), ms, skipped, usage)
            stopped = stopped or skipped not in ("", "nothing to read")

    def _why_not(self, number: int, characters: int, n_read: int, left_s: float | None) -> str:
        """Return why a stage is not started; empty if it is."""
        if not n_read:
            return "nothing to read"
        # The first is started whatever it may take, but with no time at all.
        if left_s is None or (number == 0 and left_s > 0.0):
            return ""
        estimate_s = self._paces[number].estimate_s(characters) or 0.0
        if left_s > estimate_s:
            return ""
        self._paces[number].note_skipped()
        return "no time"

    def _taken(
        self,
        number: int,
        one: _Query,
        read: Sequence[int],
        found: Ranking | Exception,
        options: ScoreOptions,
        ms: float,
    ) -> str:
        """Use what a stage found; return why it does not count, or an empty text."""
        pace, characters = self._paces[number], one.characters(read)
        if isinstance(found, Ranking):
            pace.note(characters, ms / 1e3)
            one.place(read, found, self._models[number])
            return ""
        options.deadline.check()
        if isinstance(found, DeadlineExceededError) and self._budget_ms is not None:
            pace.note_given_up(characters, ms / 1e3)
            return "late"
        if number == 0:
            raise found
        kind = type(found).__name__
        logger.warning("stage %s failed with %s; its documents keep the order before it", number + 1, kind)
        return f"failed: {kind}"


def _opened_again(stages: tuple[Stage, ...], budget_ms: float | None) -> CascadeScorer:
    return CascadeScorer(stages, budget_ms=budget_ms)


def _least(*limits: float | None) -> float | None:
    return min((one for one in limits if one is not None), default=None)
