"""Which candidates of a row become its negatives."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple, Protocol

from rerank_plugins.training.mining.pool import Pool, id_key, text_key
from rerank_plugins.training.mining.results import DroppedText
from rerank_plugins.training.mining.settings import MiningSettings, ScoreFilter
from rerank_plugins.training.row_source import PlacedRecord

_MOST_DRAWS = 10
"""How often a row draws what it lacks: a filter that takes nearly everything for an answer would have the whole pool
scored for each row."""

__all__ = ["Candidate", "Found", "Judge", "RowChoice", "choose"]


class Candidate(NamedTuple):
    """A text of the pool that a first stage found.

    Attributes:
        number: Its number in the pool.
        score: What the first stage gave it; None for one that it did not find.
    """

    number: int
    score: float | None


Found = Sequence[tuple[str, float]]
"""What a first stage found: numbers in the pool, as it has them, with scores, the best first."""


class Judge(Protocol):
    """Gives scores that answers and other texts can be told apart by."""

    def scores(self, pairs: Sequence[tuple[str, str]], found: Sequence[Candidate | None]) -> list[float]:
        """Return a score for each pair; ``found`` is what the first stage knows of its text, None for positives."""
        ...


@dataclass(slots=True, eq=False)
class RowChoice:
    """One row while its negatives are chosen.

    Attributes:
        placed: The row.
        queue: What was found, the best first; the first ``n_looked_at`` have been looked at.
        is_random: Whether the next one is any of those left, or the best of them.
        query: Key of the row's query.
        taken: Keys of texts that cannot be taken any more.
        skipped: Numbers of what was found before the first rank that counts.
        draws: The row's random numbers.
        chosen: Numbers of the negatives.
        counts: What is counted.
        worst_positive: Score of the worst labelled positive; None before it is known, or if it does not matter.
    """

    placed: PlacedRecord
    queue: list[tuple[str, float]]
    is_random: bool
    query: int
    taken: set[int]
    skipped: frozenset[int]
    draws: random.Random
    n_looked_at: int = 0
    chosen: list[int] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    worst_positive: float | None = None

    @classmethod
    def begun(cls, placed: PlacedRecord, found: Found, settings: MiningSettings, *, skipped: Found = ()) -> RowChoice:
        """Return a row with its candidates; ``skipped`` is what was found before them."""
        record = placed.record
        draws = random.Random(f"{settings.seed}:{placed.number}")  # noqa: S311 - a sample, no secret
        kept = record.neg if settings.keep_labelled else ()
        taken = {text_key(text) for text in (record.query, *record.pos, *kept)}
        taken |= {id_key(one) for one in (*(record.pos_ids or ()), *((record.neg_ids or ()) if kept else ()))}
        is_random = settings.sampling_strategy == "random"
        before = frozenset(int(name) for name, _ in skipped)
        return cls(placed, list(found), is_random, text_key(record.query), taken, before, draws)

    @property
    def is_over(self) -> bool:
        """Whether all candidates have been looked at."""
        return self.n_looked_at == len(self.queue)

    def next_ones(self, pool: Pool, n: int) -> list[Candidate]:
        """Return the next candidates that may be taken, ``n`` at most."""
        found: list[Candidate] = []
        while not self.is_over and len(found) < n:
            candidate = self._next()
            if self._is_taken(pool, candidate.number):
                self.counts["known"] += 1
                continue
            self.taken.add(pool.keys[candidate.number])
            found.append(candidate)
        return found

    def _is_taken(self, pool: Pool, number: int) -> bool:
        """Return whether a text is known: to this row, or as a positive of another one with the same query."""
        return any(key in self.taken or pool.answers.has(self.query, key) for key in pool.names(number))

    def _next(self) -> Candidate:
        """Return the next candidate; a random one is drawn as random.shuffle does, one at a time."""
        place = self.n_looked_at
        if self.is_random:
            other = self.draws.randrange(place, len(self.queue))
            self.queue[place], self.queue[other] = self.queue[other], self.queue[place]
        self.n_looked_at += 1
        name, score = self.queue[place]
        return Candidate(int(name), score)

    def any_ones(self, pool: Pool, n: int) -> Iterator[Candidate]:
        """Yield texts of the whole pool in random order that may be taken.

        What the first stage found best comes last, as it is likely to answer.

        Args:
            pool: The texts.
            n: About how many will be asked for.
        """
        best: list[int] = []
        for number in self._drawn(len(pool), n + len(self.taken) + len(self.skipped)):
            if number in self.skipped:
                best.append(number)
            else:
                yield from self._if_free(pool, number)
        for number in best:
            yield from self._if_free(pool, number)

    def _if_free(self, pool: Pool, number: int) -> Iterator[Candidate]:
        """Yield a text that may be taken, which it then cannot be again; nothing for another one."""
        if not self._is_taken(pool, number):
            self.taken.add(pool.keys[number])
            yield Candidate(number, None)

    def _drawn(self, n_texts: int, n_first: int) -> Iterator[int]:
        """Yield all numbers of a pool in random order; the rest only if the first ones do not do.

        Several texts may have one key, so that more than the keys taken may have to be passed over.
        """
        first = self.draws.sample(range(n_texts), min(n_texts, n_first))
        yield from first
        left = list(set(range(n_texts)).difference(first))
        self.draws.shuffle(left)
        yield from left


def choose(
    rows: Sequence[RowChoice],
    pool: Pool,
    *,
    settings: MiningSettings,
    judge: Judge | None,
    score_filter: ScoreFilter,
    dropped: list[DroppedText],
) -> None:
    """Choose the negatives of some rows together.

    Candidates are scored in rounds, until a row has enough: the result is that of scoring all of them.

    Args:
        rows: Begun, not chosen.
        pool: The texts.
        settings: How many, and whether others fill up.
        judge: Scores them; None takes every candidate.
        score_filter: What their scores must be.
        dropped: What was dropped as a likely answer is added here, as far as ``settings.show_dropped``.
    """
    wanted = settings.negative_number
    if judge is not None:
        _find_worst_positives(rows, judge)

    def take(looked_at: Sequence[tuple[RowChoice, Candidate]]) -> None:
        scores: list[float | None] = [None] * len(looked_at)
        if judge is not None and looked_at:
            pairs = [(row.placed.record.query, pool.text(one.number)) for row, one in looked_at]
            scores = list(judge.scores(pairs, [one for _, one in looked_at]))
        for (row, one), score in zip(looked_at, scores, strict=True):
            _take(row, one, score, pool=pool, score_filter=score_filter, dropped=dropped, show=settings.show_dropped)

    open_rows = list(rows)
    while open_rows:
        take([(row, one) for row in open_rows for one in row.next_ones(pool, wanted - len(row.chosen))])
        open_rows = [row for row in open_rows if not row.is_over and len(row.chosen) < wanted]
    n_mined = [len(row.chosen) for row in rows]
    if settings.random_fill:
        left = [(row, row.any_ones(pool, wanted - n)) for row, n in zip(rows, n_mined, strict=True) if n < wanted]
        for _ in range(_MOST_DRAWS):
            take([(row, one) for row, ones in left for one in islice(ones, wanted - len(row.chosen))])
            left = [(row, ones) for row, ones in left if len(row.chosen) < wanted]
    for row, n in zip(rows, n_mined, strict=True):
        row.counts["mined"] += n
        row.counts["random"] += len(row.chosen) - n
        row.counts["short"] += len(row.chosen) < wanted


def _find_worst_positives(rows: Sequence[RowChoice], judge: Judge) -> None:
    pairs = [(row.placed.record.query, text) for row in rows for text in row.placed.record.pos]
    left = iter(judge.scores(pairs, [None] * len(pairs)))
    for row in rows:
        row.worst_positive = min(next(left) for _ in row.placed.record.pos)


def _take(
    row: RowChoice,
    candidate: Candidate,
    score: float | None,
    *,
    pool: Pool,
    score_filter: ScoreFilter,
    dropped: list[DroppedText],
    show: int,
) -> None:
    """Make a candidate a negative unless its score says otherwise; one that was drawn may be easy."""
    worst = row.worst_positive
    if score is None or worst is None:
        row.chosen.append(candidate.number)
    elif score > score_filter.highest(worst):
        row.counts["false"] += 1
        if len(dropped) < show:
            query, text = row.placed.record.query, pool.text(candidate.number)
            dropped.append(
                DroppedText(where=row.placed.where, query=query, text=text, score=score, worst_positive=worst)
            )
    elif candidate.score is not None and score_filter.is_easy(score):
        row.counts["easy"] += 1
    else:
        row.chosen.append(candidate.number)
