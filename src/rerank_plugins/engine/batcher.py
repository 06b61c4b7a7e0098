"""The queue in front of a loaded model: callers from any thread or event loop, one worker thread per device.

Calls that wait at the same moment share batches; a long call runs piece by piece, in turn with the others.

A Ctrl-C can stop a caller's thread between any two steps here, and a fork copies the state between any two steps of the
other threads. Therefore:

* a caller never holds a lock. It appends its call to the mailbox and waits for its reply, and neither can be
  interrupted half way (:mod:`~rerank_plugins.engine.mailbox`, :mod:`~rerank_plugins.engine.reply`);
* no counter goes up and down: the waiting work is computed from the calls whose replies are open;
* a worker is registered by its own thread, as its first step, and not by the thread that starts it;
* a worker removes its registration, *then* checks for work; a caller appends its call, *then* checks for a worker. At
  least one of the two sees the other.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import replace

from rerank_plugins.engine import forking
from rerank_plugins.engine.budget import TokenBudget
from rerank_plugins.engine.calls import Answer, Call, KnownRows
from rerank_plugins.engine.executor import shares_prefixes
from rerank_plugins.engine.reply import Reply
from rerank_plugins.engine.schedule import PIECE_BUDGETS
from rerank_plugins.engine.statistics import Counters
from rerank_plugins.engine.worker import WorkQueue
from rerank_plugins.errors import EngineClosedError, OverloadedError, ScoringError
from rerank_plugins.protocols import Scorer, TokenInput
from rerank_plugins.types import EngineOptions, EngineStats

__all__ = ["MicroBatcher"]

logger = logging.getLogger(__name__)

_NO_LIMITS = EngineOptions()


class MicroBatcher:
    """Runs every call on one model and merges waiting calls into shared micro-batches.

    Args:
        scorers: Copies of the model, one per device; each runs in a thread of its own. Closed with the batcher.
        budget: Token slots of a batch.
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
        self.counters = Counters()
        self._queue = WorkQueue(budget, self.counters, name=name)
        self._workers: dict[int, threading.Thread] = {}
        self._to_close = list(scorers)
        self._is_unusable_after_fork = False
        forking.watch(self)

    def submit(
        self,
        inputs: Sequence[TokenInput],
        *,
        options: Hashable = None,
        limits: EngineOptions = _NO_LIMITS,
        known: KnownRows | None = None,
    ) -> Reply[Answer]:
        """Queue inputs and return at once.

        Args:
            inputs: What to run.
            options: Settings for the scorer; calls with different options never share a batch.
            limits: How the call is run. The caller enforces its deadline.
            known: Rows of earlier calls, which do not run again and to which new ones are added.

        Returns:
            The result to come. Cancelling it drops what has not run.

        Raises:
            EngineClosedError: ``close()`` was called, or the model does not work in this forked process.
            OverloadedError: More work waits than ``limits`` allow.
            ScoringError: No thread can be started to run the call.
        """
        call = Call(inputs, options=options, limits=limits, known=known, on_cancel=self._on_cancel)
        self._admit(call.tokens, limits)
        return self._queued(call)

    def submit_groups(
        self, groups: Iterable[tuple[Sequence[TokenInput], Hashable]], *, limits: EngineOptions = _NO_LIMITS
    ) -> list[Reply[Answer]]:
        """Queue one caller's groups of inputs, each with its scorer's options, and return at once.

        They are admitted together: a group is not refused for the work of the group before it. Raises as
        :meth:`submit`; no group stays in the queue then.
        """
        calls = [
            Call(inputs, options=options, limits=limits, known=None, on_cancel=self._on_cancel)
            for inputs, options in groups
        ]
        self._admit(sum(call.tokens for call in calls), limits)
        try:
            return [self._queued(call) for call in calls]
        except BaseException:
            for call in calls:
                call.reply.cancel()
            raise

    def _queued(self, call: Call) -> Reply[Answer]:
        self.counters.add("calls")
        self.counters.add("inputs", call.n_inputs)
        self.counters.add("inputs_reused", call.n_reused)
        if not call.missing:
            call.reply.succeed(call.answer())
            return call.reply
        piece_tokens = PIECE_BUDGETS * self._budget.capped(call.limits.max_batch_tokens)
        call.cut(piece_tokens, by_prefix=shares_prefixes(self._scorers[0], call.limits))
        try:
            self._hand_over(call)
        except ScoringError as error:
            self.counters.add("calls_failed")
            call.reply.fail(error)
            raise
        except BaseException:
            call.reply.cancel()
            raise
        return call.reply

    def close(self) -> None:
        """Finish the batch that runs, fail the calls that wait, and free the model.

        Idempotent; a call that was interrupted is finished by the next one.
        """
        workers = set(self._workers.values())
        self._queue.close()
        self._fail_waiting(running_too=False)
        for worker in workers.union(list(self._workers.values())):
            if worker is not threading.current_thread():
                worker.join()
        self._fail_waiting(running_too=True)
        while self._to_close:
            self._to_close[-1].close()
            self._to_close.pop()

    def stats(self) -> EngineStats:
        """Return the counters so far. Tokenising is counted elsewhere and is 0 here."""
        calls = self._queue.unfinished()
        return replace(
            self.counters.snapshot(),
            batch_tokens=self._budget.capped(None),
            waiting_calls=len(calls),
            waiting_tokens=sum(call.waiting_tokens for call in calls),
        )

    def after_fork(self) -> None:
        """Start with an empty queue in a forked process, which has no workers; the parent answers its own calls."""
        before, self._queue = self._queue, WorkQueue(self._budget, self.counters, name=self._name)
        self._queue.is_closed = before.is_closed
        self._workers = {}
        self._is_unusable_after_fork = not self._survives_fork
        for call in before.unfinished():
            msg = f"this process was forked from one in which a call on {self._name!r} waited; make the call again here"
            call.reply.fail(EngineClosedError(msg))

    def _admit(self, tokens: int, limits: EngineOptions) -> None:
        if self._queue.is_closed:
            raise EngineClosedError(self._closed())
        if self._is_unusable_after_fork:
            msg = (
                f"model {self._name!r} was loaded on a GPU before this process was forked, and CUDA does not survive "
                "that. Load it in the child, or start processes with the 'spawn' method."
            )
            raise EngineClosedError(msg)
        limit = limits.max_waiting_tokens
        if limit is None:
            return
        waiting = sum(one.waiting_tokens for one in self._queue.unfinished())
        if waiting and waiting + tokens > limit:
            self.counters.add("calls_refused")
            msg = (
                f"{waiting} tokens wait for model {self._name!r}, and with this call's {tokens} they "
                f"would be more than max_waiting_tokens={limit}. Try again later, or allow more."
            )
            raise OverloadedError(msg)

    def _hand_over(self, call: Call) -> None:
        queue = self._queue
        queue.mailbox.put(call)
        self._start_workers()
        if queue.is_closed:
            call.reply.fail(EngineClosedError(self._closed()))

    def _start_workers(self) -> None:
        for number in range(len(self._scorers)):
            if number in self._workers:
                continue
            try:
                threading.Thread(
                    target=self._work,
                    args=(number, self._queue),
                    name=f"rerank-{self._name}-{number}",
                    daemon=True,
                ).start()
            except Exception as error:
                if isinstance(error.__context__, KeyboardInterrupt):
                    # A Ctrl-C during the start made threading's own lock fail.
                    raise error.__context__ from None
                if self._workers:
                    # The worker of another device runs the call, but later.
                    logger.warning("no thread for device %d of model %r: %s", number, self._name, error)
                    continue
                msg = (
                    f"no thread could be started to run model {self._name!r} ({error}); the call was not queued. Let "
                    "other threads end, or allow this process more of them, and try again."
                )
                raise ScoringError(msg) from error

    def _work(self, number: int, queue: WorkQueue) -> None:
        """Work for a device, unless it has a worker already."""
        me = threading.current_thread()
        while queue is self._queue and self._workers.setdefault(number, me) is me:
            try:
                goes_on = queue.work(self._scorers[number])
            except BaseException:
                # This is not an error of a batch, which is passed to its callers.
                logger.exception("a worker of model %r died; the next call starts a new one", self._name)
                goes_on = False
            finally:
                self._workers.pop(number, None)
            if queue.is_closed or not queue.has_work():
                return
            if not goes_on:
                # At least one call has failed before this, so an error that always happens cannot restart workers for
                # ever.
                self._start_successors(queue)
                return

    def _start_successors(self, queue: WorkQueue) -> None:
        try:
            self._start_workers()
        except ScoringError as error:
            queue.fail_all(error)

    def _on_cancel(self) -> None:
        self.counters.add("calls_cancelled")
        # A worker may be waiting for a call that can share a batch.
        self._queue.mailbox.notify()

    def _fail_waiting(self, *, running_too: bool) -> None:
        for call in self._queue.unfinished():
            if running_too or not call.is_running:
                self.counters.add("calls_failed")
                call.reply.fail(EngineClosedError(f"model {self._name!r} was closed while a call waited"))

    def _closed(self) -> str:
        return f"model {self._name!r} was closed; open it again with a new Reranker or Embedder"
