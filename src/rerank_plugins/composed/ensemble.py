"""Ensembles: several models score the same documents, and their opinions are put together."""

from __future__ import annotations

import math
import operator
import time
from collections.abc import Generator, Sequence

import numpy as np

from rerank_plugins.backends.protocol import BackendScores, Pairs, ScoreOptions, reranker_spec
from rerank_plugins.catalog.spec import ScoreScale
from rerank_plugins.checks.arguments import checked_call
from rerank_plugins.composed.grouping import by_query, identity_of, stage_usage, summed_usage, telling
from rerank_plugins.composed.members import Bias, Member, OpenModel, RankOffset, listed_members, opened
from rerank_plugins.composed.naming import Fusion, ensemble_text
from rerank_plugins.composed.scale import log_odds
from rerank_plugins.composed.work import Work, adrive_work, drive_work
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.types import CallUsage, Ranking, StageScore

__all__ = ["EnsembleScorer"]

_SCALES: dict[Fusion, ScoreScale] = {"rrf": "probability", "probability": "probability", "logit": "logit"}

_USUAL_K = 60


class EnsembleScorer:
    """A backend of several models that all score every document.

    Fusion, with weights w:

    * ``rrf``: sum of w / (k + rank) over the members (Cormack et al. 2009), divided by what a document gets that is
      first everywhere. Needs no scales. A score depends on the other documents of the query (``score_scope``); it is in
      (0, 1] and no probability: a threshold compares it with the best possible.
    * ``probability``: the weighted mean of the members' probabilities (linear opinion pool). Members should be
      calibrated.
    * ``logit``: bias plus the weighted sum of the members' log-odds (logistic regression on them), a logit. With
      weights of 1 and calibrated members it counts the same evidence twice where members agree; fit the weights
      (:func:`~rerank_plugins.composed.fitting.fit_members`).

    Ties within a member share the rank of the first of them, so that the order of the call never counts as evidence.
    An error of a member is the call's.

    Args:
        members: :class:`~rerank_plugins.composed.members.Member` objects, models, or pairs of a model and its weight.
        fusion: One of these.
        k: Of ``rrf``: how little the first ranks stand out.
        bias: Of ``logit``.

    Raises:
        InvalidInputError: There are fewer than two members, or a setting is for another fusion.
        ModelError: A model cannot be loaded.
    """

    @checked_call(unchecked=("members",))
    def __init__(self, members: object, *, fusion: Fusion = "rrf", k: RankOffset = _USUAL_K, bias: Bias = 0.0) -> None:
        self._members = listed_members(members)
        self._fusion, self._k, self._bias = fusion, k, bias
        _check(fusion, k, bias)
        self._models: list[OpenModel] = []
        try:
            for one in self._members:
                self._models.append(opened(one))
        except BaseException:
            self.close()
            raise
        self.name = ensemble_text(self._members, fusion=fusion, is_plain=(k, bias) == (_USUAL_K, 0.0))
        scopes = {one.reranker.spec.score_scope for one in self._models}
        self.spec = reranker_spec(
            self.name.text,
            score_scale=_SCALES[fusion],
            score_scope="call" if fusion == "rrf" or "call" in scopes else "model",
            revision=identity_of(self._members, self._models, fusion, k, bias),
        )
        self.device = ",".join(dict.fromkeys(one.reranker.device for one in self._models if one.reranker.device))

    @property
    def members(self) -> tuple[Member, ...]:
        """The members with their weights."""
        return self._members

    @property
    def models(self) -> tuple[OpenModel, ...]:
        """The members' models, open."""
        return tuple(self._models)

    @property
    def fusion(self) -> Fusion:
        """How their opinions are put together."""
        return self._fusion

    @property
    def bias(self) -> float:
        """What ``logit`` adds to the weighted sum."""
        return self._bias

    def score(self, pairs: Pairs, options: ScoreOptions) -> BackendScores:
        """Return the score of each pair.

        Raises:
            DeadlineExceededError: The call's deadline is over.
            ScoringError: A member failed.
        """
        return drive_work(self._steps(pairs, options))

    async def ascore(self, pairs: Pairs, options: ScoreOptions) -> BackendScores:
        """Return what :meth:`score` returns, without blocking the event loop."""
        return await adrive_work(self._steps(pairs, options))

    def close(self) -> None:
        """Close the members that were opened here."""
        for one in self._models:
            one.close()

    def __reduce__(self) -> tuple[object, ...]:
        return _opened_again, (self._members, self._fusion, self._k, self._bias)

    def _steps(self, pairs: Pairs, options: ScoreOptions) -> Generator[Work, Ranking | Exception, BackendScores]:
        scores, stage_scores = [0.0] * len(pairs), [()] * len(pairs)  # type: list[float], list[tuple[StageScore, ...]]
        usages: list[CallUsage] = []
        provisional: list[int] = []
        with telling(options, usages, n_stages=len(self._models), n_inputs=len(pairs)):
            for query, places in by_query(pairs).items():
                texts = [pairs[place][1] or "" for place in places]
                opinions = []
                for model in self._models:
                    opinions.append((yield from _opinion(model, query, texts, options, usages)))
                fused = self._fused(opinions)
                if any(_lacks_answers(one) for one in usages[-len(self._models) :]):
                    provisional += places
                for number, place in enumerate(places):
                    scores[place] = fused[number]
                    stage_scores[place] = tuple(opinion[number] for opinion in opinions)
        usage = summed_usage(usages, n_stages=len(self._models), n_inputs=len(pairs))
        return BackendScores.of(scores, usage=usage, provisional=frozenset(provisional), stages=stage_scores)

    def _fused(self, opinions: Sequence[Sequence[StageScore]]) -> list[float]:
        weights = [one.weight for one in self._members]
        if self._fusion == "rrf":
            shares = [_reciprocal_ranks([one.score for one in opinion], self._k) for opinion in opinions]
            best = math.fsum(weights) / (self._k + 1)
            return [min(one / best, 1.0) for one in _weighted_sums(weights, shares)]
        if self._fusion == "probability":
            values = [[one.probability for one in opinion] for opinion in opinions]
            return [min(one / math.fsum(weights), 1.0) for one in _weighted_sums(weights, values)]
        odds = [
            [log_odds(model.reranker, one.score) for one in opinion]
            for model, opinion in zip(self._models, opinions, strict=True)
        ]
        return [self._bias + one for one in _weighted_sums(weights, odds)]


def _weighted_sums(weights: Sequence[float], rows: Sequence[Sequence[float]]) -> list[float]:
    """Return the weighted sum of each column, rounded once.

    A product of matrices rounds by the number of documents and the order of the members: a score would differ alone
    and in a list, and documents that are equal by their ranks would not be.
    """
    return [math.fsum(map(operator.mul, weights, column)) for column in zip(*rows, strict=True)]


def _opinion(
    model: OpenModel, query: str, texts: Sequence[str], options: ScoreOptions, usages: list[CallUsage]
) -> Generator[Work, Ranking | Exception, list[StageScore]]:
    """Return what a member says of each text, in the order of the texts."""
    start_s = time.perf_counter()
    found = yield Work(model, query, texts, options.deadline.left_s())
    ms = (time.perf_counter() - start_s) * 1e3
    fault = "" if isinstance(found, Ranking) else f"failed: {type(found).__name__}"
    usages.append(stage_usage(model.name, len(texts), ms, fault, getattr(found, "usage", None)))
    if not isinstance(found, Ranking):
        raise found
    by_place = sorted(found, key=lambda one: one.index)
    return [
        StageScore(name=model.name, score=one.score, probability=one.probability, truncated=one.truncated)
        for one in by_place
    ]


def _lacks_answers(usage: CallUsage) -> bool:
    """Return whether some scores of a call only stand for an answer of a chat model that did not come."""
    chat = usage.chat
    return chat is not None and chat.failed_calls + chat.skipped_calls + chat.unread_answers > 0


def _reciprocal_ranks(scores: Sequence[float], k: int) -> list[float]:
    """Return 1 / (k + rank) of each score, rank 1 being the largest; equal scores share the better rank."""
    values = np.array(scores)
    ranks = 1 + np.searchsorted(np.sort(-values), -values, side="left")
    reciprocal: list[float] = (1.0 / (k + ranks)).tolist()
    return reciprocal


def _check(fusion: Fusion, k: int, bias: float) -> None:
    if bias and fusion != "logit":
        msg = f"bias={bias} is for fusion='logit', and fusion={fusion!r} has no use for it; leave it out"
        raise InvalidInputError(msg)
    if k != _USUAL_K and fusion != "rrf":
        msg = f"k={k} is for fusion='rrf', and fusion={fusion!r} has no use for it; leave it out"
        raise InvalidInputError(msg)


def _opened_again(members: tuple[Member, ...], fusion: Fusion, k: int, bias: float) -> EnsembleScorer:
    return EnsembleScorer(members, fusion=fusion, k=k, bias=bias)
