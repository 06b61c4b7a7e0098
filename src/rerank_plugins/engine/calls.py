"""One call in the engine: its distinct inputs, cut into pieces that run in turns, and its collected rows."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rerank_plugins.engine.packing import batch_order, unique_inputs
from rerank_plugins.engine.reply import Reply
from rerank_plugins.engine.score_cache import ScoreCache
from rerank_plugins.protocols import TokenInput
from rerank_plugins.types import CallUsage, EngineOptions

__all__ = ["Answer", "Call", "KnownRows", "Piece", "Rows", "usage_of", "usage_of_all"]

Rows = npt.NDArray[np.float32]

_NO_ROWS = np.zeros((0, 0), dtype=np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """The result of a call.

    Attributes:
        rows: One row per input, in input order. Shape: (inputs, width), float32; (0, 0) without inputs.
        queue_s: Seconds until the first batch started.
        forward_s: Seconds from there until the rows were back.
        reused: Inputs that did not run because an equal one did.
    """

    rows: Rows
    queue_s: float
    forward_s: float
    reused: int


def usage_of(answer: Answer, inputs: Sequence[TokenInput], *, tokenize_s: float) -> CallUsage:
    """Return the usage of a call with these inputs."""
    return CallUsage(
        tokenize_ms=tokenize_s * 1e3,
        queue_ms=answer.queue_s * 1e3,
        forward_ms=answer.forward_s * 1e3,
        inputs=len(inputs),
        tokens=sum(map(len, inputs)),
        reused_inputs=answer.reused,
    )


def usage_of_all(answers: Sequence[Answer], inputs: Sequence[TokenInput], *, tokenize_s: float) -> CallUsage:
    """Return the usage of a call whose inputs went through the engine in several groups, queued at once.

    It waited until its first group started, and ran from there until the last one's rows were back.
    """
    queue_s = min((one.queue_s for one in answers), default=0.0)
    total_s = max((one.queue_s + one.forward_s for one in answers), default=0.0)
    whole = Answer(_NO_ROWS, queue_s, total_s - queue_s, sum(one.reused for one in answers))
    return usage_of(whole, inputs, tokenize_s=tokenize_s)


@dataclass(frozen=True, slots=True)
class KnownRows:
    """A cache and the model's part of its keys."""

    cache: ScoreCache
    model: Hashable


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """A part of a call that runs without interruption, so that a long call does not delay short ones for long.

    Attributes:
        call: The call.
        indices: Which of the call's different inputs.
        tokens: Their tokens.
    """

    call: Call
    indices: list[int]
    tokens: int

    @property
    def inputs(self) -> list[TokenInput]:
        """The inputs, in the order of ``indices``."""
        return [self.call.unique[index] for index in self.indices]


class Call:
    """The inputs of one call and the reply its caller waits for.

    The reply stays open until the end, so that a caller may cancel at any time; inputs that have not run by then are
    dropped. Only the reply says whether a call is over, so an interrupted caller cannot leave inconsistent state.

    Args:
        inputs: What to run.
        options: Settings for the scorer.
        limits: How the call is run.
        known: Rows of earlier calls; None for none.
        on_cancel: Called when the caller gives up.

    Attributes:
        reply: What the caller waits for.
        waiting: Pieces that have not run; the workers' own once the call was handed over.
        waiting_tokens: Their tokens; written by the workers, readable from any thread.
    """

    def __init__(
        self,
        inputs: Sequence[TokenInput],
        *,
        options: Hashable,
        limits: EngineOptions,
        known: KnownRows | None,
        on_cancel: Callable[[], object] | None = None,
    ) -> None:
        self.options, self.limits = options, limits
        self.reply: Reply[Answer] = Reply(on_cancel)
        self.n_inputs = len(inputs)
        self.unique, self._unique_of_input = unique_inputs(inputs)
        self._known = known
        self._rows: Rows | None = None
        self.waiting: deque[Piece] = deque()
        self._n_unfinished = 0
        # Taken by workers only, when several devices run pieces of one call.
        self._lock = threading.Lock()
        self._submitted_s = time.perf_counter()
        self._started_s: float | None = None
        self.missing = [index for index, one in enumerate(self.unique) if not self._look_up(index, one)]
        self.n_reused = self.n_inputs - len(self.missing)
        self.tokens = self.waiting_tokens = sum(len(self.unique[index]) for index in self.missing)

    @property
    def merge_key(self) -> Hashable:
        """Only calls with equal keys share batches."""
        return self.options, self.limits.max_batch_tokens, self.limits.share_prefix

    @property
    def is_wanted(self) -> bool:
        """Whether the caller still waits for the result."""
        return not self.reply.done()

    @property
    def waited_s(self) -> float:
        """Seconds since the call was made."""
        return time.perf_counter() - self._submitted_s

    @property
    def queue_s(self) -> float:
        """Seconds from the call to its first batch; 0.0 if there was none."""
        return 0.0 if self._started_s is None else self._started_s - self._submitted_s

    def cut(self, piece_tokens: int, *, by_prefix: bool = False) -> None:
        """Cut the inputs that must run into pieces of at most so many tokens.

        Args:
            piece_tokens: Only an input that is longer exceeds it, alone.
            by_prefix: Whether inputs with a common prefix stay together; otherwise the longest come first.
        """
        inputs = [self.unique[index] for index in self.missing]
        prefixes = [one.prefix_key for one in inputs] if by_prefix else None
        indices: list[int] = []
        tokens = 0
        for place in batch_order([len(one) for one in inputs], prefixes):
            index = self.missing[place]
            length = len(self.unique[index])
            if indices and tokens + length > piece_tokens:
                self.waiting.append(Piece(self, indices, tokens))
                indices, tokens = [], 0
            indices.append(index)
            tokens += length
        if indices:
            self.waiting.append(Piece(self, indices, tokens))
        self._n_unfinished = len(self.waiting)

    def next_piece(self) -> Piece:
        """Take out the next piece."""
        piece = self.waiting.popleft()
        self.waiting_tokens -= piece.tokens
        return piece

    @property
    def is_running(self) -> bool:
        """Whether all of its pieces have been chosen to run."""
        return not self.waiting

    def start(self) -> bool:
        """Record that a piece starts to run; return whether it is the first."""
        if self._started_s is not None:
            return False
        self._started_s = time.perf_counter()
        return True

    def finish_piece(self, piece: Piece, rows: Rows) -> bool:
        """Take the rows of a piece; return whether the call is complete."""
        if self._known is not None:
            for one, row in zip(piece.inputs, rows, strict=True):
                self._known.cache.put(self._known.model, self.options, one, row)
        with self._lock:
            self._put(piece.indices, rows)
            self._n_unfinished -= 1
            return self._n_unfinished == 0

    def answer(self) -> Answer:
        """Return the result of a complete call."""
        rows = np.zeros((0, 0), dtype=np.float32) if self._rows is None else self._rows[self._unique_of_input]
        total_s = self.waited_s
        forward_s = 0.0 if self._started_s is None else total_s - self.queue_s
        return Answer(rows, self.queue_s, forward_s, self.n_reused)

    def _look_up(self, index: int, one: TokenInput) -> bool:
        """Take the cached row of an input; return whether there is one."""
        row = None if self._known is None else self._known.cache.get(self._known.model, self.options, one)
        if row is not None:
            self._put([index], row[np.newaxis])
        return row is not None

    def _put(self, indices: list[int], rows: Rows) -> None:
        if self._rows is None:
            self._rows = np.empty((len(self.unique), rows.shape[1]), dtype=np.float32)
        self._rows[indices] = rows
