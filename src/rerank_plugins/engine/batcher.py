"""One worker thread per loaded model; callers from any thread or event loop hand it their inputs.

Calls that wait at the same moment share batches. Results come back through
``concurrent.futures.Future``, which both threads and event loops can wait for.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rerank_plugins.engine.executor import TokenBudget, execute
from rerank_plugins.errors import EngineClosedError
from rerank_plugins.protocols import Scorer, TokenInput

__all__ = ["MicroBatcher"]

logger = logging.getLogger(__name__)

IDLE_WORKER_S = 30.0
"""A worker without work ends after so long, so that an object that was dropped without ``close()`` leaves
no thread behind; the next call starts a new one."""

Rows = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    inputs: Sequence[TokenInput]
    options: Hashable
    future: Future[Rows]

    @property
    def n_tokens(self) -> int:
        return sum(len(one) for one in self.inputs)


class MicroBatcher:
    """Runs every call on one model, in one thread, merging the calls that wait together.

    Args:
        scorer: The model; closed with the batcher.
        budget: Token slots of a batch; also the tokens of waiting calls that are merged at most.
        name: Shown as the thread's name.
    """

    def __init__(self, scorer: Scorer, *, budget: TokenBudget, name: str) -> None:
        self._scorer = scorer
        self._budget = budget
        self._name = name
        self._condition = threading.Condition()
        self._waiting: deque[_Job] = deque()
        self._worker: threading.Thread | None = None
        self._closed = False

    def submit(self, inputs: Sequence[TokenInput], *, options: Hashable = None) -> Future[Rows]:
        """Queue inputs and return at once.

        Args:
            inputs: What to run.
            options: Settings for the scorer; calls with different options never share a batch.

        Returns:
            A future of one row per input, in input order. Cancelling it before it runs drops the
            work.

        Raises:
            EngineClosedError: ``close()`` was called.
        """
        job = _Job(inputs, options, Future())
        with self._condition:
            if self._closed:
                msg = f"model {self._name!r} was closed; open it again with a new Reranker or Embedder"
                raise EngineClosedError(msg)
            if self._worker is None or not self._worker.is_alive():
                self._worker = threading.Thread(target=self._work, name=f"rerank-{self._name}", daemon=True)
                self._worker.start()
            self._waiting.append(job)
            self._condition.notify()
        return job.future

    def close(self) -> None:
        """Finish the batch that runs, fail the calls that wait, and free the model. Idempotent."""
        with self._condition:
            if self._closed:
                return
            self._closed = True
            abandoned = list(self._waiting)
            self._waiting.clear()
            self._condition.notify_all()
            worker = self._worker
        for job in abandoned:
            if job.future.set_running_or_notify_cancel():
                job.future.set_exception(EngineClosedError(f"model {self._name!r} was closed while a call waited"))
        if worker is not None and worker is not threading.current_thread():
            worker.join()
        self._scorer.close()

    def _work(self) -> None:
        while True:
            jobs = self._next_jobs()
            if jobs is None:
                return
            running = [job for job in jobs if job.future.set_running_or_notify_cancel()]
            if running:
                self._run(running)

    def _next_jobs(self) -> list[_Job] | None:
        """Wait for work; return calls with equal options that fit one budget, or None to end the thread."""
        with self._condition:
            while not self._waiting:
                if self._closed:
                    return None
                told = self._condition.wait(IDLE_WORKER_S)
                if not told and not self._waiting:
                    self._worker = None
                    return None
            jobs = [self._waiting.popleft()]
            total = jobs[0].n_tokens
            while self._waiting and self._waiting[0].options == jobs[0].options:
                total += self._waiting[0].n_tokens
                if total > self._budget.tokens:
                    break
                jobs.append(self._waiting.popleft())
            return jobs

    def _run(self, jobs: list[_Job]) -> None:
        merged = [one for job in jobs for one in job.inputs]
        try:
            rows = execute(self._scorer, merged, budget=self._budget, options=jobs[0].options)
        except Exception as error:  # noqa: BLE001 - any failure belongs to the callers, the worker lives on
            if len(jobs) == 1:
                jobs[0].future.set_exception(error)
                return
            # Which call brought the failure is not known: run each alone, so that only it fails.
            logger.info("a batch of %d merged calls failed; running them one by one", len(jobs))
            for job in jobs:
                self._run([job])
            return
        start = 0
        for job in jobs:
            end = start + len(job.inputs)
            job.future.set_result(rows[start:end])
            start = end
