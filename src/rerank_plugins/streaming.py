"""Pairs without end: a generator in, a generator of scores out, and no more in memory than a few thousand pairs."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, replace
from itertools import islice

from rerank_plugins import inputs
from rerank_plugins.engine.calls import Answer
from rerank_plugins.scoring import FinishedCall, PairScoring
from rerank_plugins.text.pair_encoder import EncodedPair
from rerank_plugins.types import CallUsage, LayerOptions

__all__ = ["CHUNK_PAIRS", "score_stream"]

CHUNK_PAIRS = 1_024
"""Pairs that are sorted by length together: enough for full batches of near lengths."""

_AHEAD = 2
"""Chunks that are tokenised and queued while an earlier one runs."""


@dataclass(frozen=True, slots=True, eq=False)
class _Chunk:
    encoded: list[EncodedPair]
    future: Future[Answer]
    tokenize_s: float


def score_stream(
    scoring: PairScoring, pairs: Iterable[object], options: LayerOptions | None, *, chunk_pairs: int
) -> Iterator[float]:
    """Yield the raw score of each pair, in order, reading the pairs a few chunks ahead.

    Tokenising a chunk overlaps with running the one before it. A consumer that stops early drops what has not run.

    Raises:
        InvalidInputError: An element is not a pair of strings; its number counts from the first of all.
    """
    iterator = iter(pairs)
    chunks: deque[_Chunk] = deque()
    n_read = 0
    with scoring.started() as call:
        try:
            while True:
                while len(chunks) <= _AHEAD and (chunk := list(islice(iterator, chunk_pairs))):
                    chunks.append(_queued(scoring, inputs.check_pairs(chunk, first=n_read), options))
                    n_read += len(chunk)
                if not chunks:
                    break
                one = chunks[0]
                done = FinishedCall(one.encoded, one.future.result(), one.tokenize_s)
                chunks.popleft()
                call.usage = _sum(call.usage, done.usage)
                yield from scoring.scores(done)
        finally:
            for one in chunks:
                one.future.cancel()


def _queued(scoring: PairScoring, pairs: list[tuple[str, str | None]], options: LayerOptions | None) -> _Chunk:
    whole, tokenize_s = scoring.timed_encode(pairs)
    # Nobody asks a stream for windows; the tokenizer's records would stay in memory between two forwards.
    encoded = [replace(pair, document=None) for pair in whole]
    return _Chunk(encoded, scoring.submit(encoded, options), tokenize_s)


def _sum(before: CallUsage | None, one: CallUsage) -> CallUsage:
    """Return the usage of a stream so far: it waits for its first chunk, the others queue behind its own."""
    if before is None:
        return one
    return CallUsage(
        tokenize_ms=before.tokenize_ms + one.tokenize_ms,
        queue_ms=before.queue_ms,
        forward_ms=before.forward_ms + one.forward_ms,
        inputs=before.inputs + one.inputs,
        tokens=before.tokens + one.tokens,
        reused_inputs=before.reused_inputs + one.reused_inputs,
    )
