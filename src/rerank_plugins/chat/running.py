"""Runs the requests of a method: several at a time, in threads or on an event loop, none longer than it may take."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import queue
import threading
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as WaitedTooLong
from dataclasses import dataclass, field, replace
from typing import TypeVar

from rerank_plugins.chat.asking import Request
from rerank_plugins.chat.failures import passes
from rerank_plugins.chat.limits import ChatLimits
from rerank_plugins.chat.model import ChatAnswer, ChatModel, ChatOptions
from rerank_plugins.engine.deadline import Deadline
from rerank_plugins.errors import DeadlineExceededError, RemoteError, RerankPluginsError, ScoringError
from rerank_plugins.remote.slots import Slots

__all__ = ["Runner"]

logger = logging.getLogger(__name__)

T = TypeVar("T")

_Answers = list[ChatAnswer | None]
_Steps = Generator[list[Request], _Answers, T]

_Note = Callable[[Request, ChatAnswer | None], object]

_FAILED = "calls of the chat model %r fail (%s); what they are about keeps its order (this is logged once)"


def _no_note(_request: Request, _answer: ChatAnswer | None) -> None:
    """Nobody counts."""


@dataclass(slots=True, eq=False)
class _Job:
    """A request on its way, in the thread that runs it."""

    request: Request
    place: int
    future: Future[ChatAnswer | None] = field(default_factory=Future)
    started: threading.Event = field(default_factory=threading.Event)
    started_s: float = 0.0
    holds_slot: bool = False


class Runner:
    """Calls a chat model for methods. Safe from any number of threads and event loops.

    Args:
        model: The model.
        limits: How it is called.
    """

    def __init__(self, model: ChatModel, limits: ChatLimits) -> None:
        self._model, self._limits = model, limits
        self._slots = Slots(limits.concurrency)
        self._has_warned = False

    def run(self, steps: _Steps[T], deadline: Deadline, note: _Note = _no_note) -> T:
        """Run a method to its end in this thread, its requests in others.

        Args:
            steps: The method.
            deadline: When to give up.
            note: Gets each request of a batch that ends with an error, with its answer where that was there by then,
                or None where it failed; the method never sees these.

        Raises:
            DeadlineExceededError: The time is over; what runs is left to end by itself.
            RemoteError: A call failed for a reason that does not pass, or ``on_failure`` says so.
            ScoringError: The model raised something else.
        """
        answers: _Answers | None = None
        while True:
            try:
                requests = steps.send(answers)  # type: ignore[arg-type]
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            deadline.check()
            answers = self._batch(requests, deadline, note)

    async def arun(self, steps: _Steps[T], deadline: Deadline, note: _Note = _no_note) -> T:
        """Run a method as :meth:`run` does, without blocking the event loop; a cancelled task drops its requests."""
        answers: _Answers | None = None
        while True:
            try:
                requests = steps.send(answers)  # type: ignore[arg-type]
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            deadline.check()
            answers = await self._abatch(requests, deadline, note)

    def _batch(self, requests: Sequence[Request], deadline: Deadline, note: _Note) -> _Answers:
        jobs = [_Job(request, place) for place, request in enumerate(requests)]
        waiting: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        for job in jobs:
            waiting.put(job)
        ended = threading.Event()
        for _ in range(min(len(jobs), self._limits.concurrency)):
            self._start(waiting, ended, deadline)
        try:
            return [self._waited(job, waiting, ended, deadline) for job in jobs]
        except BaseException:
            for job in jobs:
                if job.future.done():
                    note(job.request, None if job.future.exception() else job.future.result())
            raise
        finally:
            ended.set()
            for job in jobs:
                self._leave(job, deadline)

    def _leave(self, job: _Job, deadline: Deadline) -> None:
        """Free the slot of a call that nobody waits for any more as soon as it has taken the time that it had."""
        if job.future.done() or not job.started.is_set():
            return
        left_s = self._left_s(job, deadline)
        if left_s <= 0.0:
            self._release(job)
            return
        timer = threading.Timer(left_s, self._release, (job,))
        timer.daemon = True
        timer.start()
        job.future.add_done_callback(lambda _: timer.cancel())

    def _left_s(self, job: _Job, deadline: Deadline) -> float:
        """Return how long a call that was started may still take."""
        limit_s = max(0.0, job.started_s + self._limits.timeout_s - time.perf_counter())
        remaining_s = deadline.remaining_s()
        return limit_s if remaining_s is None else min(limit_s, remaining_s)

    def _start(self, waiting: queue.SimpleQueue[_Job], ended: threading.Event, deadline: Deadline) -> None:
        def work() -> None:
            while not ended.is_set():
                try:
                    job = waiting.get_nowait()
                except queue.Empty:
                    return
                self._run(job, ended, deadline)

        # A daemon: a model that hangs must not keep the program from ending. Frameworks trace by context.
        threading.Thread(target=contextvars.copy_context().run, args=(work,), name="chat", daemon=True).start()

    def _run(self, job: _Job, ended: threading.Event, deadline: Deadline) -> None:
        try:
            self._slots.take(deadline)
            job.holds_slot, job.started_s = True, time.perf_counter()
            try:
                job.started.set()
                if ended.is_set():
                    return  # while it waited for a slot
                answer = self._model.complete(job.request.messages, self._options(job.request, deadline))
            finally:
                self._release(job)
            job.future.set_result(_checked(answer, self._model.name))
        except BaseException as error:  # noqa: BLE001 - the one who waits raises it
            job.future.set_exception(error)
        finally:
            job.started.set()

    def _waited(
        self, job: _Job, waiting: queue.SimpleQueue[_Job], ended: threading.Event, deadline: Deadline
    ) -> ChatAnswer | None:
        if not job.started.wait(deadline.remaining_s()):
            deadline.check()
        try:
            return job.future.result(self._left_s(job, deadline))
        except WaitedTooLong as error:
            deadline.check()
            if not job.future.done():
                # Nobody knows when it comes back: its slot is free again, and another thread takes its place.
                self._release(job)
                self._start(waiting, ended, deadline)
            self._note_failure(error, deadline)
        except Exception as error:  # noqa: BLE001 - told apart there
            self._note_failure(error, deadline)
        return None

    async def _abatch(self, requests: Sequence[Request], deadline: Deadline, note: _Note) -> _Answers:
        tasks = [asyncio.ensure_future(self._acomplete(request, deadline)) for request in requests]
        try:
            return await deadline.await_work(_gathered(tasks))
        except BaseException:
            for request, task in zip(requests, tasks, strict=True):
                if task.done() and not task.cancelled():
                    note(request, None if task.exception() else task.result())
            raise
        finally:
            for task in tasks:
                task.cancel()
            # Until they have given their slots back.
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _acomplete(self, request: Request, deadline: Deadline) -> ChatAnswer | None:
        await self._slots.atake()
        try:
            call = self._model.acomplete(request.messages, self._options(request, deadline))
            return _checked(await asyncio.wait_for(call, self._limits.timeout_s), self._model.name)
        except Exception as error:  # noqa: BLE001 - told apart there
            self._note_failure(error, deadline)
            return None
        finally:
            self._slots.give()

    def _options(self, request: Request, deadline: Deadline) -> ChatOptions:
        remaining_s, limit_s = deadline.remaining_s(), self._limits.timeout_s
        of_call = Deadline(limit_s if remaining_s is None else min(limit_s, remaining_s))
        return replace(request.options, deadline=of_call)

    def _release(self, job: _Job) -> None:
        with _RELEASING:
            held, job.holds_slot = job.holds_slot, False
        if held:
            self._slots.give()

    def _note_failure(self, error: Exception, deadline: Deadline) -> None:
        """Note a failure that the ranking survives, or raise what ends it."""
        if isinstance(error, DeadlineExceededError):
            deadline.check()  # Else it was the limit of this one call.
        if not passes(error):
            if isinstance(error, RerankPluginsError):
                raise error
            msg = f"the chat model {self._model.name!r} failed with {type(error).__name__}: {error}"
            raise ScoringError(msg) from error
        if self._limits.on_failure == "raise":
            if isinstance(error, RerankPluginsError):
                raise error
            msg = f"the chat model {self._model.name!r} did not answer ({type(error).__name__})"
            raise RemoteError(msg, is_passing=True) from error
        if not self._has_warned:
            self._has_warned = True
            # The kind of the error only: its words may hold texts.
            logger.warning(_FAILED, self._model.name, type(error).__name__)


_RELEASING = threading.Lock()


async def _gathered(tasks: Sequence[asyncio.Future[ChatAnswer | None]]) -> _Answers:
    return list(await asyncio.gather(*tasks))


def _checked(answer: object, name: str) -> ChatAnswer:
    if not isinstance(answer, ChatAnswer) or not isinstance(answer.text, str):
        msg = f"the chat model {name!r} gave something else than a ChatAnswer with a text ({type(answer).__name__})"
        raise ScoringError(msg)
    return answer
