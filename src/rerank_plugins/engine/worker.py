"""The work of a model's worker threads: wait for calls, choose what runs together, run it, deliver the results.

Each device has one worker thread. The workers of a model share one queue. One of them at a time, the one that holds the
lock called *turn*, waits for calls and chooses a batch; the others run theirs. No caller ever takes this lock, and
signals are never handled in a worker's thread, so nothing can leave it held. Workers take no lock that a caller can
hold.
"""

from __future__ import annotations

import _thread
import logging
import time
from collections.abc import Iterator, Sequence

import numpy as np

from rerank_plugins.engine.budget import TokenBudget
from rerank_plugins.engine.calls import Call, Piece, Rows
from rerank_plugins.engine.executor import execute
from rerank_plugins.engine.mailbox import Mailbox
from rerank_plugins.engine.packing import unique_inputs
from rerank_plugins.engine.schedule import Schedule
from rerank_plugins.engine.statistics import Counters
from rerank_plugins.errors import RerankPluginsError, ScoringError
from rerank_plugins.protocols import Scorer, TokenInput
from rerank_plugins.system.native import is_ending, native_code

__all__ = ["IDLE_WORKER_S", "WorkQueue"]

logger = logging.getLogger(__name__)

IDLE_WORKER_S = 30.0
"""A worker without work ends after so long, so that an object that was dropped without ``close()`` leaves
no thread running; the next call starts a new one."""


class WorkQueue:
    """The calls of one model, from the mailbox to their replies.

    Args:
        budget: Token slots of a batch.
        counters: Where to count.
        name: The model, for messages.
    """

    def __init__(self, budget: TokenBudget, counters: Counters, *, name: str) -> None:
        self._budget, self._counters, self._name = budget, counters, name
        self._schedule = Schedule(budget)
        self._turn = _thread.allocate_lock()
        self._taken: dict[Call, None] = {}
        self.mailbox: Mailbox[Call] = Mailbox()
        self.is_closed = False

    def unfinished(self) -> list[Call]:
        """Return the calls whose callers still wait. For any thread."""
        calls = dict.fromkeys([*self.mailbox.items(), *list(self._taken)])
        return [call for call in calls if call.is_wanted]

    def has_work(self) -> bool:
        """Return whether there are calls that no worker has chosen yet. For any thread."""
        return bool(len(self.mailbox) or len(self._schedule))

    def close(self) -> None:
        """Make the workers end at their next batch."""
        self.is_closed = True
        self.mailbox.notify()

    def work(self, scorer: Scorer) -> bool:
        """Run calls until none has come for a while; return whether the thread may go on working.

        An error outside a forward pass fails the calls that this thread is running, or, if it runs none, all waiting
        calls. It then ends this thread.
        """
        while pieces := self._next_pieces():
            try:
                if not self._run(scorer, pieces):
                    return False
            except BaseException as error:
                for piece in pieces:
                    self._fail(piece.call, _death(error, name=self._name))
                raise
        return True

    def fail_all(self, error: BaseException) -> None:
        """Fail every call whose caller still waits."""
        for call in self.unfinished():
            self._fail(call, error)

    def _next_pieces(self) -> list[Piece]:
        """Wait for work; return pieces that can run together, or none if none comes."""
        if not self._turn.acquire(timeout=IDLE_WORKER_S):
            return []
        try:
            while not self.is_closed:
                self._collect_calls()
                if not len(self._schedule):
                    if is_ending() or not self.mailbox.wait(IDLE_WORKER_S):
                        break
                    continue
                remaining_wait_s = self._schedule.remaining_wait_s()
                if remaining_wait_s <= 0.0:
                    return self._schedule.take()
                self.mailbox.wait(remaining_wait_s)
            return []
        except BaseException as error:
            self.fail_all(_death(error, name=self._name))
            self._schedule = Schedule(self._budget)
            self.mailbox.drop_while(lambda call: not call.is_wanted)
            raise
        finally:
            self._turn.release()

    def _collect_calls(self) -> None:
        for call in self.mailbox.take():
            self._taken[call] = None
            self._schedule.add(call)
        for call in self._schedule.drop_cancelled():
            self._counters.add("inputs_dropped", sum(len(piece.indices) for piece in call.waiting))
            self._taken.pop(call, None)

    def _run(self, scorer: Scorer, pieces: list[Piece]) -> bool:
        """Run pieces together; return whether the thread may go on."""
        for piece in pieces:
            if piece.call.start():
                self._counters.add("queue_s", piece.call.queue_s)
        try:
            with native_code():
                rows = self._rows(scorer, pieces)
        except BaseException as error:  # noqa: BLE001 - whatever a model raises belongs to the callers
            if len(pieces) == 1:
                self._fail(pieces[0].call, _typed(error, name=self._name))
                return not isinstance(error, (SystemExit, KeyboardInterrupt))
            # It is not known which call caused the error: run each alone, so that only that one fails.
            logger.info("a batch of %d merged calls failed; running them one by one", len(pieces))
            outcomes = [self._run(scorer, [piece]) for piece in pieces]
            return all(outcomes)
        self._deliver(pieces, rows)
        return True

    def _rows(self, scorer: Scorer, pieces: list[Piece]) -> Rows:
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
                wanted=lambda index: not self.is_closed and any(call.is_wanted for call in callers[index]),
                counters=self._counters,
            )
        finally:
            self._counters.add("forward_s", time.perf_counter() - before_s)
        return rows[unique_of_input] if len(rows) else rows

    def _merged(self, pieces: list[Piece]) -> tuple[list[TokenInput], Sequence[int]]:
        """Return the distinct inputs of all pieces, and for each input its index among them."""
        if len(pieces) == 1:
            # A call holds each of its inputs once already.
            return pieces[0].inputs, range(len(pieces[0].indices))
        unique, unique_of_input = unique_inputs([one for piece in pieces for one in piece.inputs])
        self._counters.add("calls_merged", len(pieces))
        self._counters.add("inputs_reused", len(unique_of_input) - len(unique))
        return unique, unique_of_input

    def _deliver(self, pieces: list[Piece], rows: Rows) -> None:
        for piece, its_rows in _shared_out(pieces, rows):
            call = piece.call
            # The rows of a cancelled call, or of a model that is being closed, may never have been computed.
            if not call.is_wanted or (self.is_closed and (not len(its_rows) or np.isnan(its_rows).any())):
                continue
            if call.finish_piece(piece, its_rows):
                call.reply.succeed(call.answer())
        for piece in pieces:
            if not piece.call.is_wanted:
                self._taken.pop(piece.call, None)

    def _fail(self, call: Call, error: BaseException) -> None:
        # Counted before the reply, so that the caller sees its call in the counters.
        if call.is_wanted:
            self._counters.add("calls_failed")
        call.reply.fail(error)
        self._taken.pop(call, None)


def _shared_out(pieces: list[Piece], rows: Rows) -> Iterator[tuple[Piece, Rows]]:
    start = 0
    for piece in pieces:
        end = start + len(piece.indices)
        yield piece, rows[start:end]
        start = end


def _typed(error: BaseException, *, name: str) -> BaseException:
    """Return the error that a caller gets for an error in a forward pass."""
    if isinstance(error, RerankPluginsError):
        return error
    if isinstance(error, (SystemExit, KeyboardInterrupt)):
        return _death(error, name=name)
    failure = ScoringError(
        f"a forward pass of model {name!r} failed with {type(error).__name__}: {error}. Other calls are not affected; "
        "if it happens again with the same texts, please report it"
    )
    failure.__cause__ = error
    return failure


def _death(error: BaseException, *, name: str) -> ScoringError:
    failure = ScoringError(f"the worker thread of model {name!r} died: {error!r}; the next call starts a new one")
    failure.__cause__ = error
    return failure
