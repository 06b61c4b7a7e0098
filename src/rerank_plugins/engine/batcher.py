"""The queue in front of a loaded model: callers from any thread or event loop, one worker thread per device.

Calls that wait at the same moment share batches; a long call runs piece by piece, in turn with the others. Results
come back through ``concurrent.futures.Future``, which both threads and event loops can wait for.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Hashable, Sequence
from concurrent.futures import Future, InvalidStateError
from dataclasses import replace

from rerank_plugins.engine import forking
from rerank_plugins.engine.calls import Answer, Call, KnownRows, Piece, Rows
from rerank_plugins.engine.executor import TokenBudget, execute, shares_prefixes, unique_inputs
from rerank_plugins.engine.statistics import Counters
from rerank_plugins.errors import EngineClosedError, OverloadedError, ScoringError
from rerank_plugins.protocols import Scorer, TokenInput
from rerank_plugins.types import EngineOptions, EngineStats

__all__ = ["MicroBatcher"]

logger = logging.getLogger(__name__)

IDLE_WORKER_S = 30.0
"""A worker without work ends after so long, so that an object that was dropped without ``close()`` leaves
no thread behind; the next call starts a new one."""

PIECE_BUDGETS = 8
"""Budgets of tokens in a piece of a long call: enough for full batches of near lengths and one copy to the host for a
call of usual size, few enough that a short call does not wait long."""

MERGED_BUDGETS = 4
"""Budgets of tokens that waiting calls are merged up to. With 32 threads of 20 passages each, one budget reached 0.82
of one bulk call's throughput, 2 0.89, 4 0.92 and 8 0.94; a call waits for all that it is merged with."""

_NO_LIMITS = EngineOptions()


class MicroBatcher:
    """Runs every call on one model, merging the calls that wait together.

    Args:
        scorers: Copies of the model, one per device; each runs in a thread of its own. Closed with the batcher.
        budget: Token slots of a batch; a few of them are the tokens of waiting calls that are merged at most.
        name: Shown as the threads' name.
        survives_fork: Whether the scorers can run in a forked process; CUDA's cannot.
    """

    def __init__(
        self, scorers: Sequence[Scorer], *, budget: TokenBudget, name: str, survives_fork: bool = True
    ) -> None:
        self._scorers = list(scorers)
        self._budget = budget
        self._name = name
        self._survives_fork = survives_fork
        self._condition = threading.Condition()
        self._waiting: deque[Call] = deque()
        self._unfinished: set[Call] = set()
        self._waiting_tokens = 0
        self._workers: dict[int, threading.Thread] = {}
        self._closed = False
        self._lost_in_fork = False
        self.counters = Counters()
        forking.watch(self)

    def submit(
        self,
        inputs: Sequence[TokenInput],
        *,
        options: Hashable = None,
        limits: EngineOptions = _NO_LIMITS,
        known: KnownRows | None = None,
    ) -> Future[Answer]:
        """Queue inputs and return at once.

        Args:
            inputs: What to run.
            options: Settings for the scorer; calls with different options never share a batch.
            limits: How the call is run; its deadline is the caller's to watch.
            known: Rows of earlier calls, which do not run again and to which new ones are added.

        Returns:
            The future result. Cancelling it drops what has not run.

        Raises:
            EngineClosedError: ``close()`` was called, or the model does not work in this forked process.
            OverloadedError: More work waits than ``limits`` allow.
        """
        call = Call(inputs, options=options, limits=limits, known=known)
        with self._condition:
            self._admit(call)
            if call.missing:
                piece_tokens = PIECE_BUDGETS * self._budget.capped(limits.max_batch_tokens)
                call.cut(piece_tokens, by_beginning=shares_prefixes(self._scorers[0], limits))
                self._unfinished.add(call)
                self._waiting_tokens += call.tokens
                self._waiting.append(call)
                self._start_workers()
                self._condition.notify_all()
        self.counters.add("calls")
        self.counters.add("inputs", call.n_inputs)
        self.counters.add("inputs_reused", call.n_reused)
        if call.missing:
            call.future.add_done_callback(lambda future: self._forget(call, future))
        else:
            call.future.set_result(call.answer())
        return call.future

    def close(self) -> None:
        """Finish the batch that runs, fail the calls that wait, and free the model. Idempotent."""
        with self._condition:
            if self._closed:
                return
            self._closed = True
            abandoned = list(self._waiting)
            self._waiting.clear()
            self._condition.notify_all()
            workers = list(self._workers.values())
        for call in abandoned:
            _fail(call, EngineClosedError(f"model {self._name!r} was closed while a call waited"))
        for worker in workers:
            if worker is not threading.current_thread():
                worker.join()
        for scorer in self._scorers:
            scorer.close()

    def stats(self) -> EngineStats:
        """Return what was done so far; texts are tokenised elsewhere and count 0."""
        with self._condition:
            n_calls, n_tokens = len(self._unfinished), self._waiting_tokens
        counted = self.counters.snapshot()
        return replace(counted, batch_tokens=self._budget.tokens, waiting_calls=n_calls, waiting_tokens=n_tokens)

    def after_fork(self) -> None:
        """Forget, in a forked process, the parent's threads, callers and locks, which do not exist here."""
        self._condition = threading.Condition()
        self.counters.after_fork()
        self._waiting.clear()
        self._unfinished.clear()
        self._waiting_tokens = 0
        self._workers.clear()
        self._lost_in_fork = not self._survives_fork

    def _admit(self, call: Call) -> None:
        if self._closed:
            msg = f"model {self._name!r} was closed; open it again with a new Reranker or Embedder"
            raise EngineClosedError(msg)
        if self._lost_in_fork:
            msg = (
                f"model {self._name!r} was loaded on a GPU before this process was forked, and CUDA does not survive "
                "that. Load it in the child, or start processes with the 'spawn' method."
            )
            raise EngineClosedError(msg)
        limit = call.limits.max_waiting_tokens
        if limit is not None and self._waiting_tokens and self._waiting_tokens + call.tokens > limit:
            self.counters.add("calls_refused")
            msg = (
                f"{self._waiting_tokens} tokens wait for model {self._name!r}, and with this call's {call.tokens} they "
                f"would be more than max_waiting_tokens={limit}. Try again later, or allow more."
            )
            raise OverloadedError(msg)

    def _start_workers(self) -> None:
        for number in range(len(self._scorers)):
            if number not in self._workers:
                worker = threading.Thread(
                    target=self._work, args=(number,), name=f"rerank-{self._name}-{number}", daemon=True
                )
                self._workers[number] = worker
                worker.start()

    def _forget(self, call: Call, future: Future[Answer]) -> None:
        """Take a call that is over, however it ended, out of the books."""
        with self._condition:
            if call in self._waiting:
                self._waiting.remove(call)
            self._unfinished.discard(call)
            self._waiting_tokens -= sum(piece.tokens for piece in call.waiting)
            n_dropped = sum(len(piece.indices) for piece in call.waiting)
            call.waiting.clear()
        self.counters.add("queue_s", call.queue_s)
        self.counters.add("inputs_dropped", n_dropped)
        if future.cancelled():
            self.counters.add("calls_cancelled")
        elif future.exception() is not None:
            self.counters.add("calls_failed")

    def _work(self, number: int) -> None:
        pieces: list[Piece] = []
        try:
            while True:
                pieces = self._next_pieces(number)
                if not pieces:
                    return
                self._run(self._scorers[number], pieces)
        except BaseException as error:
            # Not an error of a batch (those reach their callers): the thread itself ends, and nobody may wait for it.
            logger.exception("a worker of model %r died; the next call starts a new one", self._name)
            for piece in pieces:
                _fail(piece.call, ScoringError(f"the worker thread of model {self._name!r} died: {error!r}"))
            with self._condition:
                self._workers.pop(number, None)
                if self._waiting and not self._closed:
                    self._start_workers()

    def _next_pieces(self, number: int) -> list[Piece]:
        """Wait for work; return pieces that can run together, or none to end the thread."""
        with self._condition:
            while True:
                if self._closed:
                    break
                if not self._waiting:
                    told = self._condition.wait(IDLE_WORKER_S)
                    if not told and not self._waiting:
                        break
                    continue
                spare_s = self._spare_s(self._waiting[0])
                if spare_s <= 0.0:
                    return self._take()
                self._condition.wait(spare_s)
            self._workers.pop(number, None)
            return []

    def _spare_s(self, first: Call) -> float:
        """Return how long the first call may still wait for others to fill its batch."""
        if first.limits.max_wait_ms <= 0.0:
            return 0.0
        budget = self._budget.capped(first.limits.max_batch_tokens)
        waiting = sum(call.tokens for call in self._waiting if call.merge_key == first.merge_key)
        return 0.0 if waiting >= budget else first.limits.max_wait_ms / 1e3 - first.waited_s

    def _take(self) -> list[Piece]:
        """Return the next piece of the first call and what of the others fits beside it; calls take turns."""
        first = self._waiting[0]
        limit = MERGED_BUDGETS * self._budget.capped(first.limits.max_batch_tokens)
        pieces: list[Piece] = []
        tokens = 0
        for call in list(self._waiting):
            if call.merge_key != first.merge_key or (pieces and tokens + call.waiting[0].tokens > limit):
                continue
            pieces.append(call.waiting.popleft())
            tokens += pieces[-1].tokens
            self._waiting.remove(call)
            if call.waiting:
                self._waiting.append(call)
            if tokens >= limit:
                break
        self._waiting_tokens -= tokens
        return pieces

    def _run(self, scorer: Scorer, pieces: list[Piece]) -> None:
        for piece in pieces:
            piece.call.start()
        unique, unique_of_input = self._merged(pieces)
        callers: list[list[Call]] = [[] for _ in unique]
        for call, index in zip((piece.call for piece in pieces for _ in piece.indices), unique_of_input, strict=True):
            callers[index].append(call)
        before_s = time.perf_counter()
        try:
            rows = execute(
                scorer,
                unique,
                budget=self._budget,
                limits=pieces[0].call.limits,
                options=pieces[0].call.options,
                wanted=lambda index: any(call.is_wanted for call in callers[index]),
                counters=self.counters,
            )
        except Exception as error:  # noqa: BLE001 - any failure belongs to the callers, the worker lives on
            if len(pieces) == 1:
                _fail(pieces[0].call, error)
                return
            # Which call brought the failure is not known: run each alone, so that only it fails.
            logger.info("a batch of %d merged calls failed; running them one by one", len(pieces))
            for piece in pieces:
                self._run(scorer, [piece])
            return
        finally:
            self.counters.add("forward_s", time.perf_counter() - before_s)
        self._deliver(pieces, rows[unique_of_input] if len(rows) else rows)

    def _merged(self, pieces: list[Piece]) -> tuple[list[TokenInput], Sequence[int]]:
        """Return each different input of all pieces once, and for each input which of these it is."""
        if len(pieces) == 1:
            # A call holds each of its inputs once already.
            return pieces[0].inputs, range(len(pieces[0].indices))
        unique, unique_of_input = unique_inputs([one for piece in pieces for one in piece.inputs])
        self.counters.add("calls_merged", len(pieces))
        self.counters.add("inputs_reused", len(unique_of_input) - len(unique))
        return unique, unique_of_input

    def _deliver(self, pieces: list[Piece], rows: Rows) -> None:
        start = 0
        for piece in pieces:
            end = start + len(piece.indices)
            # Rows of a call that nobody waits for were perhaps never computed.
            if piece.call.is_wanted and piece.call.finish_piece(piece, rows[start:end]):
                _answer(piece.call)
            start = end


def _answer(call: Call) -> None:
    try:
        call.future.set_result(call.answer())
    except InvalidStateError:
        # Cancelled a moment ago.
        return


def _fail(call: Call, error: BaseException) -> None:
    try:
        call.future.set_exception(error)
    except InvalidStateError:
        # Cancelled, or failed by another of its pieces: its caller was told already.
        return
