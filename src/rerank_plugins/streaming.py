"""Pairs without end: a generator in, a generator of scores out, and no more in memory than a few thousand pairs."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice

from rerank_plugins import inputs
from rerank_plugins.engine.calls import Answer
from rerank_plugins.engine.reply import Reply
from rerank_plugins.scoring import FinishedCall, PairScoring
from rerank_plugins.text.pair_encoder import EncodedPair
from rerank_plugins.types import LayerOptions

__all__ = ["CHUNK_PAIRS", "score_stream"]

CHUNK_PAIRS = 1_024
"""Pairs that are sorted by length together: enough for full batches of near lengths."""

_AHEAD = 2
"""Chunks that are tokenised and queued while an earlier one runs."""


@dataclass(frozen=True, slots=True, eq=False)
class _Chunk:
    encoded: list[EncodedPair]
    future: Reply[Answer]


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
    try:
        while True:
            while len(chunks) <= _AHEAD and (chunk := list(islice(iterator, chunk_pairs))):
                # Nobody asks a stream for windows; the tokenizer's records would stay in memory between two forwards.
                whole = scoring.encode(inputs.check_pairs(chunk, first=n_read))
                encoded = [replace(pair, document=None) for pair in whole]
                del whole
                chunks.append(_Chunk(encoded, scoring.submit(encoded, options)))
                n_read += len(chunk)
            if not chunks:
                return
            one = chunks[0]
            done = FinishedCall(one.encoded, one.future.result(), tokenize_s=0.0)
            chunks.popleft()
            yield from scoring.scores(done)
    finally:
        for one in chunks:
            one.future.cancel()
