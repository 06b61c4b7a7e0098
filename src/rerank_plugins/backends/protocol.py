"""The protocol of a backend: a kind of reranker is one class with these methods, however it gets its scores.

A backend gets texts and gives numbers. Ranking, thresholds, windows of long documents, calibration, the score cache,
both framework adapters, evaluation and the command line come with :class:`~rerank_plugins.reranker.Reranker`::

    class WordOverlap(SimplePairScorer):
        spec = reranker_spec("acme/word-overlap")

        def score_texts(self, pairs):
            return [float(len(set(query.split()) & set(document.split()))) for query, document in pairs]

    Reranker(backend=WordOverlap()).rank("pandas eat", ["bamboo", "pandas eat bamboo"])
"""

from __future__ import annotations

import asyncio
import threading
from abc import ABC, abstractmethod
from collections.abc import Collection, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from rerank_plugins.catalog.spec import ModelSpec, ScoreScale, ScoreScope
from rerank_plugins.checks.arguments import checked_call
from rerank_plugins.checks.kinds import Count
from rerank_plugins.engine.deadline import Deadline
from rerank_plugins.errors import ScoringError
from rerank_plugins.ranking.results import PairReading
from rerank_plugins.types import CallUsage, LayerOptions, StageScore, WindowSpan

__all__ = [
    "NO_LIMIT",
    "BackendScores",
    "CutElsewhere",
    "KnownEverywhere",
    "PairReading",
    "PairScorer",
    "PendingScores",
    "QueuesWork",
    "ScoreOptions",
    "SimplePairScorer",
    "reranker_spec",
]

Pairs = Sequence[tuple[str, str | None]]

NO_LIMIT = 2**31 - 1
"""Words that a backend without a limit reads; more than any document has."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScoreOptions:
    """What one call asks of a backend.

    Attributes:
        deadline: When the call gives up. A backend that waits for something asks ``deadline.remaining_s()``; one that
            works in steps calls ``deadline.check()`` between them.
        layers: Complete layer options; None for models without layers to choose.
        top_n: How many of the best documents of one query will be looked at; a backend may score the others roughly,
            below these, and then names them as ``provisional``. None for all of them, and where scores are kept or
            documents were split.
        spent: Gets what a call had taken by then that ends with an error, from a backend that knows.
    """

    deadline: Deadline = field(default_factory=lambda: Deadline(None))
    layers: LayerOptions | None = None
    top_n: int | None = None
    spent: list[CallUsage] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _ReadWhole:
    """A document that was read in one input."""

    n_inputs: int = 1
    truncated: bool = False

    def span(self, winner: int) -> WindowSpan | None:
        return None


@dataclass(frozen=True, slots=True, eq=False)
class BackendScores:
    """What a backend gives back for the pairs of a call.

    Attributes:
        rows: Raw scores, one row per input, the inputs of a pair one after the other, in the pairs' order. Shape:
            (inputs, columns); one column, or one for each different layer that was asked for, the lowest first.
        readings: How each pair was read, in order.
        usage: What the call took; None if the backend does not tell.
        provisional: Rows that stand for a score that did not come, or are rough; a cache does not keep them.
        stages: For each input the scores of the models that it was put together from, in the order in which they ran;
            None from a backend that is one model.
    """

    rows: npt.NDArray[np.floating]
    readings: Sequence[PairReading]
    usage: CallUsage | None = None
    provisional: Collection[int] = ()
    stages: Sequence[tuple[StageScore, ...]] | None = None

    @classmethod
    def of(
        cls,
        scores: Iterable[float],
        *,
        usage: CallUsage | None = None,
        provisional: Collection[int] = (),
        stages: Sequence[tuple[StageScore, ...]] | None = None,
    ) -> BackendScores:
        """Return the result of a backend that reads every document whole and gives it one score.

        Args:
            scores: One raw score per pair, in order.
            usage: What the call took; None if it is not known.
            provisional: Scores that stand for one that did not come; see the class.
            stages: For each pair the scores that its own was made of; None if it was not.
        """
        listed = list(scores)
        try:
            rows = np.array(listed, dtype=np.float64).reshape(len(listed), 1)
        except (TypeError, ValueError) as error:
            msg = f"the backend's scores must be numbers, one a pair: {error}"
            raise ScoringError(msg) from error
        return cls(rows, [_ReadWhole()] * len(listed), usage, provisional, stages)


@runtime_checkable
class PairScorer(Protocol):
    """Scores pairs of texts: the protocol of a backend. :class:`SimplePairScorer` needs only one method of you."""

    @property
    def spec(self) -> ModelSpec:
        """What is known about the model; see :func:`reranker_spec`."""
        ...

    @property
    def device(self) -> str:
        """Where it runs, for people: a device, a host; empty if that says nothing."""
        ...

    def score(self, pairs: Pairs, options: ScoreOptions) -> BackendScores:
        """Return the raw score of each pair, see :meth:`BackendScores.of`; called from any thread.

        Raises:
            DeadlineExceededError: The time of ``options.deadline`` is over.
            ScoringError: There are no scores.
        """
        ...

    async def ascore(self, pairs: Pairs, options: ScoreOptions) -> BackendScores:
        """Return what :meth:`score` returns, without blocking the event loop; a cancelled task drops the work."""
        ...

    def close(self) -> None:
        """Give back what the backend holds. It is not used afterwards."""
        ...


class PendingScores(Protocol):
    """A call that is under way."""

    def result(self) -> BackendScores:
        """Wait for the scores."""
        ...

    def cancel(self) -> object:
        """Drop what has not run."""
        ...


@runtime_checkable
class QueuesWork(Protocol):
    """A backend that takes work ahead of the one whose result is waited for; the others run a stream in turn."""

    def submit(self, pairs: Pairs, options: ScoreOptions) -> PendingScores:
        """Queue pairs."""
        ...


@runtime_checkable
class KnownEverywhere(Protocol):
    """A backend whose numbers are the same wherever it is opened, so that a cache outlives the object."""

    @property
    def identity(self) -> Hashable:
        """What tells its numbers from all others: what is asked, and where."""
        ...


@runtime_checkable
class CutElsewhere(Protocol):
    """A backend that cuts texts by itself, with a tokenizer that is not known here."""

    @property
    def window_words(self) -> int:
        """Words of query and window together where long documents are split and no ``max_length`` is given."""
        ...


class SimplePairScorer(ABC):
    """A backend of which only :meth:`score_texts` and :attr:`spec` must be written.

    Attributes:
        spec: What is known about the model, see :func:`reranker_spec`.
        device: Where it runs, for people.
        batch_pairs: Pairs given to :meth:`score_texts` at most; between batches the deadline is looked at.
    """

    spec: ModelSpec
    device: str = ""
    batch_pairs: int = 32

    @abstractmethod
    def score_texts(self, pairs: Sequence[tuple[str, str]]) -> Sequence[float]:
        """Return one raw score per (query, document), higher being better; no text is blank. From any thread."""

    def score(self, pairs: Pairs, options: ScoreOptions) -> BackendScores:
        """Return the scores of pairs, batch by batch."""
        return self._scored(pairs, options, threading.Event())

    async def ascore(self, pairs: Pairs, options: ScoreOptions) -> BackendScores:
        """Return the scores of pairs, made in a thread. Override it where there is something to await."""
        given_up = threading.Event()
        try:
            return await asyncio.to_thread(self._scored, pairs, options, given_up)
        finally:
            given_up.set()

    def close(self) -> None:  # noqa: B027
        """Give back what the backend holds: nothing, here."""

    def _scored(self, pairs: Pairs, options: ScoreOptions, given_up: threading.Event) -> BackendScores:
        texts = [(query, document or "") for query, document in pairs]
        scores: list[float] = []
        for start in range(0, len(texts), self.batch_pairs):
            if given_up.is_set():
                break
            options.deadline.check()
            batch = texts[start : start + self.batch_pairs]
            try:
                found = list(self.score_texts(batch))
            except StopIteration as error:
                # No future of asyncio carries it: whoever awaits would wait for ever.
                msg = f"{self.spec.id!r} failed with StopIteration: {error}"
                raise ScoringError(msg) from error
            if len(found) != len(batch):
                msg = f"{self.spec.id!r} gave {len(found)} scores for {len(batch)} pairs; score_texts gives one a pair"
                raise ScoringError(msg)
            scores += found
        return BackendScores.of(scores)


@checked_call()
def reranker_spec(
    name: str,
    *,
    score_scale: ScoreScale = "logit",
    score_scope: ScoreScope = "model",
    max_length: Count | None = None,
    revision: str | None = None,
    license: str = "",  # noqa: A002
    languages: tuple[str, ...] = (),
) -> ModelSpec:
    """Return what is known about the model of a backend.

    Args:
        name: How it is called in messages, records, caches and calibrations, such as ``acme/word-overlap``.
        score_scale: What a raw score is: ``logit`` (any number; its sigmoid is the probability), ``probability``, or
            ``tanh``.
        score_scope: ``call`` if a score says only where a document stands among those of its query in one call. Such
            scores cannot be cached, calibrated or streamed, and the backend gets all documents of a query at once.
        max_length: Words of query and document together that it reads; longer documents are cut or split into
            windows, as ``long_documents`` says. None: no limit.
        revision: What tells versions apart whose scores differ; a calibration is refused for another one.
        license: SPDX identifier.
        languages: ISO 639-1 codes, or ``multilingual``.
    """
    return ModelSpec(
        id=name,
        kind="reranker",
        family=name.split("/", 1)[0],
        scorer="backend",
        default_max_length_tokens=max_length or NO_LIMIT,
        max_length_tokens=max_length or NO_LIMIT,
        license=license,
        languages=languages,
        revision=revision,
        truncation="only_second",
        score_scale=score_scale,
        score_scope=score_scope,
    )
