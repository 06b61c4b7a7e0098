"""Asks a service for many texts: requests that fit, several at a time, their answers put together in order."""

from __future__ import annotations

import asyncio
import contextvars
import math
import queue
import re
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, wait
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from rerank_plugins.engine.deadline import Deadline
from rerank_plugins.errors import InvalidInputError, RemoteError, RemoteUnavailableError
from rerank_plugins.remote.bodies import AnswerTooLargeError
from rerank_plugins.remote.breaker import Breaker
from rerank_plugins.remote.http import HttpClient
from rerank_plugins.remote.limits import BatchLimits, RemoteLimits, batches
from rerank_plugins.remote.slots import Slots

__all__ = ["RemoteCall", "RemoteEngine"]

T = TypeVar("T")

# What TEI says, and servers that copy it.
_BATCH_SIZE = re.compile(r"maximum allowed batch size (\d{1,6})")
_TOO_LARGE = 413


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RemoteCall(Generic[T]):
    """Texts that a service scores or embeds, and how its requests are written and its answers read.

    Attributes:
        texts: The texts.
        shared_text: What is read with each of them (the query); empty for nothing.
        body: Makes the body of a request from some of the texts.
        read: Makes what is wanted of an answer and the number of texts; raises RemoteError if the answer is none.
        is_whole: Whether all texts must be in one request, because the answers depend on each other.
    """

    texts: Sequence[str]
    shared_text: str
    body: Callable[[Sequence[str]], Mapping[str, Any]]
    read: Callable[[Any, int], T]
    is_whole: bool = False


_Steps = Generator[Mapping[str, Any], Any, list[T]]


class RemoteEngine:
    """Sends requests to one path of a service. Safe from any number of threads and event loops.

    Args:
        client: Sends them.
        path: Behind the client's address.
        fits: How much one request holds.
        limits: How many run at the same time, and when the service is left alone.
    """

    def __init__(self, client: HttpClient, path: str, fits: BatchLimits, limits: RemoteLimits) -> None:
        self._client, self._path, self._fits = client, path, fits
        self._most_items = limits.batch_items or fits.items
        self._concurrency = limits.concurrency
        self._slots = Slots(limits.concurrency)
        self._breaker = Breaker(client.host, failures=limits.failures, pause_s=limits.pause_s)

    @property
    def client(self) -> HttpClient:
        """What sends the requests."""
        return self._client

    def run(self, calls: Sequence[RemoteCall[T]], deadline: Deadline) -> list[list[T]]:
        """Return for each of the calls what was read of its answers, in the order of its texts.

        Raises:
            RemoteUnavailableError: The service does not answer, or takes no more requests; it may later.
            RemoteError: It refuses the request, or its answer is none.
            DeadlineExceededError: The time is over; what runs is left to end by itself.
            InvalidInputError: Texts that must be in one request do not fit, or there is no key.
        """
        pieces = self._pieces(calls)
        jobs = [self._job(call, texts, deadline) for _, call, texts in pieces]
        n_first = self._n_first()
        found = _in_threads(jobs[:n_first], self._concurrency, deadline)
        found += _in_threads(jobs[n_first:], self._concurrency, deadline)
        return _together(pieces, found, n=len(calls))

    async def arun(self, calls: Sequence[RemoteCall[T]], deadline: Deadline) -> list[list[T]]:
        """Return what :meth:`run` returns, without blocking the event loop; a cancelled task drops its requests."""
        pieces = self._pieces(calls)
        n_first = self._n_first()
        found = await self._in_tasks(pieces[:n_first], deadline)
        found += await self._in_tasks(pieces[n_first:], deadline)
        return _together(pieces, found, n=len(calls))

    async def _in_tasks(
        self, pieces: Sequence[tuple[int, RemoteCall[T], Sequence[str]]], deadline: Deadline
    ) -> list[list[T]]:
        tasks = [asyncio.ensure_future(self._run_request(call, texts, deadline)) for _, call, texts in pieces]
        try:
            return await deadline.await_work(_gathered(tasks))
        finally:
            for task in tasks:
                task.cancel()
            # Until they have given their slots back.
            await asyncio.gather(*tasks, return_exceptions=True)

    def _n_first(self) -> int:
        """Return how many requests go before the others: one where the service is being left alone.

        The breaker lets one through; the others of its call would be refused beside it, and end the call and with it
        the one request that can tell that the service is back.
        """
        return int(self._breaker.is_open)

    def _pieces(self, calls: Sequence[RemoteCall[T]]) -> list[tuple[int, RemoteCall[T], Sequence[str]]]:
        pieces = []
        for number, call in enumerate(calls):
            runs = batches(call.texts, shared_text=call.shared_text, limits=self._fits, most_items=self._most_items)
            found = [(number, call, texts) for _, texts in runs]
            if call.is_whole and len(found) > 1:
                raise self._too_many(len(call.texts))
            pieces += found
        return pieces

    def _job(self, call: RemoteCall[T], texts: Sequence[str], deadline: Deadline) -> Callable[[], list[T]]:
        def run() -> list[T]:
            self._slots.take(deadline)
            try:
                return self._sent(self._steps(call, texts), deadline)
            finally:
                self._slots.give()

        return run

    def _sent(self, steps: _Steps[T], deadline: Deadline) -> list[T]:
        body = next(steps)
        while True:
            try:
                outcome: Any = self._client.post(self._path, body, deadline=deadline)
            except RemoteError as error:
                outcome = error
            try:
                body = steps.send(outcome)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]

    async def _run_request(self, call: RemoteCall[T], texts: Sequence[str], deadline: Deadline) -> list[T]:
        await self._slots.atake()
        try:
            steps = self._steps(call, texts)
            body = next(steps)
            while True:
                try:
                    outcome: Any = await self._client.apost(self._path, body, deadline=deadline)
                except RemoteError as error:
                    outcome = error
                try:
                    body = steps.send(outcome)
                except StopIteration as end:
                    return end.value  # type: ignore[no-any-return]
        finally:
            self._slots.give()

    def _steps(self, call: RemoteCall[T], texts: Sequence[str]) -> _Steps[T]:
        """Yield request bodies, smaller ones where the service says that one is too large, and return what came."""
        waiting, found = [texts], []
        while waiting:
            some = waiting.pop()
            if len(some) > self._most_items and not call.is_whole:
                # Learnt since the call was cut into requests.
                waiting += _cut(some, self._most_items)
                continue
            self._breaker.check()
            outcome = yield call.body(some)
            if isinstance(outcome, RemoteError):
                if _is_answer(outcome):
                    # Also where it is tried after a pause: what follows, such as smaller requests, is let through.
                    self._breaker.worked()
                smaller = self._smaller(outcome, len(some))
                if smaller is None or (call.is_whole and isinstance(outcome, AnswerTooLargeError)):
                    raise self._noted(outcome) from outcome
                if call.is_whole:
                    raise self._too_many(len(some)) from outcome
                waiting += _cut(some, smaller)
                continue
            self._breaker.worked()
            found.append(call.read(outcome, len(some)))
        return found

    def _smaller(self, error: RemoteError, n: int) -> int | None:
        """Return how many texts to send instead of n; None if their number was not what was wrong."""
        if isinstance(error, AnswerTooLargeError) and n > 1:
            # Vectors of two thousand texts in JSON are larger than most answers; known from now on.
            self._most_items = min(self._most_items, -(-n // 2))
            return self._most_items
        if error.status is None or not 400 <= error.status < 500 or n < 2:
            return None
        match = _BATCH_SIZE.search(str(error))
        if match is not None and 0 < int(match[1]) < n:
            # Known from now on.
            self._most_items = min(self._most_items, int(match[1]))
            return int(match[1])
        return -(-n // 2) if error.status == _TOO_LARGE else None

    def _noted(self, error: RemoteError) -> RemoteError:
        """Return what to raise for a failure, which is counted if it says that the service is not there."""
        if not error.is_passing or _is_answer(error):
            return error
        waits = error.retry_after_s
        is_long = waits is not None and waits > self._client.settings.longest_wait_s
        self._breaker.failed(wait_s=waits if is_long else None)
        return RemoteUnavailableError(
            str(error), status=error.status, is_passing=True, is_reached=error.is_reached, retry_after_s=waits
        )

    def _too_many(self, n: int) -> InvalidInputError:
        msg = (
            f"{n} documents do not fit into one request to {self._client.host}, and this model's scores depend on the "
            "other documents of the request: pass fewer documents, or shorter ones"
        )
        return InvalidInputError(msg)


def _cut(texts: Sequence[str], n: int) -> list[Sequence[str]]:
    """Return runs of n texts, the first one last."""
    return [texts[start : start + n] for start in range(0, len(texts), n)][::-1]


def _is_answer(error: RemoteError) -> bool:
    """Return whether a service is there, whatever it says: it refused a request, or answered with what is no answer."""
    return error.status is not None and (not error.is_passing or error.status < 400)


async def _gathered(tasks: Sequence[asyncio.Future[T]]) -> list[T]:
    return list(await asyncio.gather(*tasks))


def _together(
    pieces: Sequence[tuple[int, RemoteCall[T], Sequence[str]]], found: Sequence[list[T]], *, n: int
) -> list[list[T]]:
    parts: list[list[T]] = [[] for _ in range(n)]
    for (number, _, _), some in zip(pieces, found, strict=True):
        parts[number] += some
    return parts


def _in_threads(jobs: Sequence[Callable[[], T]], n_threads: int, deadline: Deadline) -> list[T]:
    """Return what the jobs return: one runs in this thread, several run in others, and the first error ends all."""
    if len(jobs) < 2:
        return [job() for job in jobs]
    ended = threading.Event()
    waiting: queue.SimpleQueue[tuple[Future[T], Callable[[], T]]] = queue.SimpleQueue()
    futures: list[Future[T]] = [Future() for _ in jobs]
    for one in zip(futures, jobs, strict=True):
        waiting.put(one)
    for _ in range(min(len(jobs), n_threads)):
        # A daemon: a server that hangs must not keep the program from ending. Frameworks trace by context.
        run = contextvars.copy_context().run
        threading.Thread(target=run, args=(_work, waiting, ended), name="remote", daemon=True).start()
    try:
        done, left = wait(futures, timeout=deadline.remaining_s(), return_when=FIRST_EXCEPTION)
        for future in futures:
            if future in done:
                future.result()
        if left:
            deadline.needs(math.inf)
        return [future.result() for future in futures]
    finally:
        ended.set()


def _work(waiting: queue.SimpleQueue[tuple[Future[T], Callable[[], T]]], ended: threading.Event) -> None:
    while not ended.is_set():
        try:
            future, job = waiting.get_nowait()
        except queue.Empty:
            return
        try:
            future.set_result(job())
        except BaseException as error:  # noqa: BLE001 - the one who waits raises it
            future.set_exception(error)
