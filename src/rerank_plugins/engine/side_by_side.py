"""Runs parts of a batch at the same time, each on a thread of its own (inter-op parallelism), on a CPU.

Within an operation torch's threads wait for each other, and for some 50 microseconds where a process has more OpenMP
threads than the machine has cores: they then sleep at once instead of spinning, and libgomp counts the helpers of each
thread that ever ran an operation. Texts do not depend on each other, so that the texts of a batch are shared out
instead, and each part goes through all layers on one thread without waiting for the others.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
from collections.abc import Callable, Sequence
from functools import partial
from itertools import accumulate
from queue import SimpleQueue
from typing import Any, TypeVar

from rerank_plugins.engine.tensors import ModelRows, without_gradients
from rerank_plugins.protocols import Batch, Scorer
from rerank_plugins.system.native import native_help

__all__ = ["forward", "most_parts", "most_threads", "run_parts", "shares"]

logger = logging.getLogger(__name__)

_MOST_THREADS = 8
"""More would wait for Python's lock, which each operation takes for a few microseconds."""

_LEAST_TOKENS = 96
"""Tokens of a part that are worth handing over."""

_MOST_UNEVEN = 1.25
"""The largest part that is worth waiting for, against the mean: beyond it torch's own threads are faster."""

_Answer = TypeVar("_Answer")
_Answers = SimpleQueue[tuple[int, Any, "BaseException | None"]]


def forward(scorer: Scorer, batch: Batch) -> list[ModelRows]:
    """Return the rows of a batch, in the order of its inputs, in one or several pieces. Runs without gradients.

    Raises:
        Exception: What the scorer raises; of several parts the first one's, after all have ended.
    """
    most = most_parts(scorer)
    parts = shares(batch.lengths, most=most)
    # Products of 8-bit integers are so short that torch's own threads make them slower, not faster. And a head's sums
    # in float32 are rounded by the number of threads, where a score shall be the same in every batch.
    is_int8 = most > 1 and getattr(scorer, "runs_int8", False)
    if len(parts) == 1 and not is_int8:
        return [scorer.forward(batch)]
    n_threads = most if len(parts) == 1 else len(parts)
    threads = _Threads.of_this_process(n_threads, 1 if is_int8 else _n_torch_threads() // n_threads)
    if threads is None:
        return [scorer.forward(batch)]
    batches = [Batch(batch.inputs[part], batch.options, batch.shares_prefixes) for part in parts]
    return threads.run([partial(scorer.forward, one) for one in batches])


def run_parts(parts: Sequence[Callable[[], _Answer]]) -> list[_Answer]:
    """Return what each part of some work gives; each runs without gradients, on one thread, at the same time.

    Args:
        parts: At most :func:`most_threads`.

    Raises:
        Exception: What the first part raises that does, after all have ended.
    """
    threads = _Threads.of_this_process(len(parts), 1) if len(parts) > 1 else None
    return [part() for part in parts] if threads is None else threads.run(parts)


def most_parts(scorer: Scorer) -> int:
    """Return how many parts of a batch a scorer may run at the same time in the calling thread's share of the CPU."""
    # As for prefix sharing: isinstance(scorer, ThreadSafe) would look up every member of the protocol.
    if not getattr(scorer, "is_thread_safe", False):
        return 1
    return most_threads()


def most_threads() -> int:
    """Return how many parts may run at the same time in the calling thread's share of the CPU."""
    return min(_n_torch_threads(), _MOST_THREADS)


def _n_torch_threads() -> int:
    """Return how many threads torch uses for an operation of the calling thread."""
    torch: Any = sys.modules["torch"]
    return int(torch.get_num_threads())


def shares(lengths: Sequence[int], *, most: int) -> list[slice]:
    """Return which inputs of a batch run on which thread: neighbours that have about equally many tokens.

    Args:
        lengths: Tokens of each input.
        most: How many parts there may be.

    Returns:
        So many parts, or a half, a quarter ... of them; one where several would not pay: few tokens, or one long input
        among short ones.
    """
    n_parts = most if len(lengths) > 1 else 1
    while n_parts > 1:
        found = _divided(lengths, n_parts)
        largest = max(sum(lengths[one]) for one in found)
        if len(found) == n_parts and _LEAST_TOKENS <= largest <= _MOST_UNEVEN * sum(lengths) / n_parts:
            return found
        # Not each number below it, as each takes threads of its own.
        n_parts //= 2
    return [slice(0, len(lengths))]


def _divided(lengths: Sequence[int], n_parts: int) -> list[slice]:
    """Return at most so many ranges of inputs that have about equally many tokens."""
    tokens = sum(lengths)
    # The input across a border goes to the side where more of it lies.
    part_of = [
        min(int((end - length / 2) * n_parts / max(tokens, 1)), n_parts - 1)
        for end, length in zip(accumulate(lengths), lengths, strict=True)
    ]
    starts = [place for place, part in enumerate(part_of) if place == 0 or part != part_of[place - 1]]
    return [slice(start, end) for start, end in zip(starts, [*starts[1:], len(lengths)], strict=True)]


def _set_if_possible(n_threads: int) -> None:
    torch: Any = sys.modules["torch"]
    # Where it cannot be set, it was not changed before either, and the threads have said so.
    with contextlib.suppress(RuntimeError):
        torch.set_num_threads(n_threads)


def _in_a_new_thread(task: Callable[[], object]) -> None:
    thread = threading.Thread(target=task)
    thread.start()
    thread.join()


class _Threads:
    """Threads that wait for parts of any model's batches. They stay as long as the process.

    Args:
        n_threads: How many.
        n_each: Threads of torch's own that each may use.

    Raises:
        RuntimeError: No thread can be started, or this torch lets no thread have a number of its own.
    """

    def __init__(self, n_threads: int, n_each: int) -> None:
        self._tasks: SimpleQueue[tuple[Callable[[], Any], int, _Answers]] = SimpleQueue()
        torch: Any = sys.modules["torch"]
        ready: SimpleQueue[RuntimeError | None] = SimpleQueue()
        # torch gives a thread that starts later the number that was set last, by whichever thread.
        number_of_others: SimpleQueue[int] = SimpleQueue()
        _in_a_new_thread(lambda: number_of_others.put(torch.get_num_threads()))
        before = number_of_others.get()
        try:
            for number in range(n_threads):
                name = f"rerank-part-{number}"
                threading.Thread(target=self._work, args=(n_each, ready), name=name, daemon=True).start()
            answers = [ready.get() for _ in range(n_threads)]
        finally:
            _in_a_new_thread(partial(_set_if_possible, before))
        for answer in answers:
            if answer is not None:
                raise answer

    @staticmethod
    def of_this_process(n_threads: int, n_each: int) -> _Threads | None:
        """Return such threads; None where they cannot be had, which is tried once."""
        # A forked child has none of its parent's threads, and a lock that one of them held would never be free there.
        key = (os.getpid(), n_threads, n_each)
        with _starting.setdefault(os.getpid(), threading.Lock()):
            if key not in _started:
                try:
                    _started[key] = _Threads(*key[1:])
                except RuntimeError as error:
                    logger.info("batches are not shared out among threads: %s", error)
                    _started[key] = None
            return _started[key]

    def run(self, parts: Sequence[Callable[[], _Answer]]) -> list[_Answer]:
        """Return what each part gives."""
        answers: _Answers = SimpleQueue()
        for place, part in enumerate(parts):
            self._tasks.put((part, place, answers))
        # By their places; no two are compared.
        found = sorted((answers.get() for _ in parts), key=lambda one: one[0])
        for _, _, error in found:
            if error is not None:
                raise error
        return [answer for _, answer, _ in found]

    def _work(self, n_each: int, ready: SimpleQueue[RuntimeError | None]) -> None:
        torch: Any = sys.modules["torch"]
        try:
            # A thread takes the process's number when it is first asked, which must be before it gets its own.
            torch.get_num_threads()
            torch.set_num_threads(n_each)
        except RuntimeError as error:
            ready.put(error)
            return
        ready.put(None)
        while True:
            part, place, answers = self._tasks.get()
            answer, failure = None, None
            try:
                with native_help(), without_gradients():
                    answer = part()
            except BaseException as error:  # noqa: BLE001 - whatever it is belongs to who waits for the part
                failure = error
            answers.put((place, answer, failure))
            # Nothing of a model is kept while the thread waits.
            del part, answer, answers, failure


_started: dict[tuple[int, int, int], _Threads | None] = {}
_starting: dict[int, threading.Lock] = {}
