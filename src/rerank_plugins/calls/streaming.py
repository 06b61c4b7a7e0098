"""Scores of a stream of pairs: a generator in, a generator out, with a few thousand pairs in memory at most."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from rerank_plugins import inputs
from rerank_plugins.backends.protocol import BackendScores, Pairs, PairScorer, PendingScores, QueuesWork, ScoreOptions
from rerank_plugins.calls.driving import started
from rerank_plugins.types import CallUsage, StageUsage

__all__ = ["CHUNK_PAIRS", "score_stream"]

CHUNK_PAIRS = 1_024
"""Pairs that are sorted by length together: enough for full batches of near lengths."""

_AHEAD = 2
"""Chunks that are tokenised and queued while an earlier one runs."""


@dataclass(frozen=True, slots=True, eq=False)
class _InTurn:
    """Pairs of a backend without a queue: they are scored when their scores are wanted."""

    backend: PairScorer
    pairs: Pairs
    options: ScoreOptions

    def result(self) -> BackendScores:
        return self.backend.score(self.pairs, self.options)

    def cancel(self) -> None:
        """Nothing runs yet."""


class _Reader:
    """Reads pairs in chunks up to the first that cannot be read.

    Attributes:
        error: Why that cannot be read; None while nothing failed.
    """

    def __init__(self, pairs: Iterable[object], chunk_pairs: int) -> None:
        self._iterator, self._chunk_pairs, self._n_read = iter(pairs), chunk_pairs, 0
        self.error: Exception | None = None

    def read(self) -> Pairs:
        """Return the next pairs, checked; empty at the end, and behind an error."""
        chunk: list[tuple[str, str | None]] = []
        if self.error is not None:
            return chunk
        try:
            for pair in islice(self._iterator, self._chunk_pairs):
                chunk += inputs.check_pairs([pair], first=self._n_read)
                self._n_read += 1
        except Exception as error:  # noqa: BLE001 - whatever the caller's generator raises is raised in its place
            self.error = error
        return chunk


def score_stream(
    backend: PairScorer,
    pairs: Iterable[object],
    options: ScoreOptions,
    scores_of: Callable[[BackendScores], list[float]],
    *,
    chunk_pairs: int,
) -> Iterator[float]:
    """Yield the raw score of each pair, in order, reading the pairs a few chunks ahead.

    Tokenising a chunk overlaps with running the one before it. A consumer that stops early drops what has not run. An
    error of the pairs comes in its place, behind the scores of all pairs before it.

    Args:
        backend: What scores.
        pairs: What to score.
        options: Of all pairs; one deadline for the whole stream.
        scores_of: Makes one score per pair of a backend's numbers.
        chunk_pairs: Pairs that are queued together.

    Raises:
        InvalidInputError: An element is not a pair of strings; its number counts from the first of all.
        DeadlineExceededError: The time is over before the last score.
    """
    reader = _Reader(pairs, chunk_pairs)
    chunks: deque[PendingScores] = deque()
    with started(backend, "rerank") as call:
        try:
            while True:
                while len(chunks) <= _AHEAD and (chunk := reader.read()):
                    options.deadline.check()
                    chunks.append(_queued(backend, chunk, options))
                if not chunks:
                    break
                found = chunks[0].result()
                chunks.popleft()
                call.usage = _sum(call.usage, found.usage)
                yield from scores_of(found)
            if reader.error is not None:
                raise reader.error
        finally:
            for one in chunks:
                one.cancel()


def _queued(backend: PairScorer, pairs: Pairs, options: ScoreOptions) -> PendingScores:
    return backend.submit(pairs, options) if isinstance(backend, QueuesWork) else _InTurn(backend, pairs, options)


def _sum(before: CallUsage | None, one: CallUsage | None) -> CallUsage | None:
    """Return the usage of a stream so far: it waits for its first chunk, the others queue behind its own."""
    if before is None or one is None:
        return one or before
    return CallUsage(
        tokenize_ms=before.tokenize_ms + one.tokenize_ms,
        queue_ms=before.queue_ms,
        forward_ms=before.forward_ms + one.forward_ms,
        inputs=before.inputs + one.inputs,
        tokens=before.tokens + one.tokens,
        reused_inputs=before.reused_inputs + one.reused_inputs,
        stages=_stages(before.stages, one.stages),
        chat=before.chat if one.chat is None else one.chat if before.chat is None else before.chat + one.chat,
        remote=before.remote
        if one.remote is None
        else one.remote
        if before.remote is None
        else before.remote + one.remote,
    )


def _stages(*chunks: tuple[StageUsage, ...]) -> tuple[StageUsage, ...]:
    """Return what became of each model of several so far; a model that is in two stages is told twice, as in a call."""
    merged: dict[tuple[str, int], StageUsage] = {}
    for stages in chunks:
        seen = Counter[str]()
        for stage in stages:
            key = stage.name, seen[stage.name]
            merged[key] = merged[key] + stage if key in merged else stage
            seen[stage.name] += 1
    return tuple(merged.values())
