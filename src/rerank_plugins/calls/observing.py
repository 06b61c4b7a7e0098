"""The record of each call, passed to registered observers: tracing, logging, a test.

Observers are called in the caller's own thread or task when its call is over, so that the surrounding trace is the
current one. They get numbers and names, never text.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from rerank_plugins.checks.arguments import checked_call
from rerank_plugins.types import CallUsage

__all__ = ["CallRecord", "Observer", "StartedCall", "add_observer"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRecord:
    """One call that is over.

    Attributes:
        operation: ``rerank`` or ``embed``.
        model: The model as its user named it in the catalog's words.
        device: Where it runs.
        started_ns: When the call came, in nanoseconds since 1970.
        ended_ns: When it was over.
        usage: What it took; None if it failed or was given up, unless its backend told what it had taken by then.
        error: Class name of what ended it early (``ScoringError``, ``CancelledError``, ``GeneratorExit`` of a stream
            that nobody reads to its end); None if it succeeded.
    """

    operation: str
    model: str
    device: str
    started_ns: int
    ended_ns: int
    usage: CallUsage | None
    error: str | None


Observer = Callable[[CallRecord], None]

_observers: dict[object, Observer] = {}
"""By a mark of each registration, since one observer may be registered twice."""


@checked_call()
def add_observer(observer: Observer) -> Callable[[], None]:
    """Call ``observer`` with the record of every call of this process from now on.

    A call is what goes through a model once: ``explain`` and ``score_pairs`` make two, a stream makes one. What is
    refused at the door for its arguments is none.

    Returns:
        A function that stops that. Calling it again does nothing.
    """
    mark = object()
    # Single operations of a dict need no lock, which a fork or an interrupt could leave held.
    _observers[mark] = observer

    def remove() -> None:
        _observers.pop(mark, None)

    return remove


class StartedCall:
    """A call under way, as a block: however the block ends, the observers get one record of it.

    ::

        with StartedCall("embed", model=..., device=...) as call:
            ...
            call.usage = ...

    An error, a cancelled task and a stream that is given up end it as what they are (``CancelledError``,
    ``GeneratorExit``). Costs nothing to speak of where nobody observes.

    Args:
        operation: ``rerank`` or ``embed``.
        model: The model's id.
        device: Where it runs.

    Attributes:
        usage: What the call took; the block sets it.
        spent: What a call that fails had taken by then; likewise, where it is known.
    """

    def __init__(self, operation: str, *, model: str, device: str) -> None:
        self._operation, self._model, self._device = operation, model, device
        self._started_ns = time.time_ns()
        self.usage: CallUsage | None = None
        self.spent: CallUsage | None = None

    def __enter__(self) -> StartedCall:
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        if error is None:
            self._notify(self.usage, None)
        else:
            self._notify(self.spent, type(error).__name__)

    def _notify(self, usage: CallUsage | None, error: str | None) -> None:
        if not _observers:
            return
        record = CallRecord(
            operation=self._operation,
            model=self._model,
            device=self._device,
            started_ns=self._started_ns,
            ended_ns=time.time_ns(),
            usage=usage,
            error=error,
        )
        for observer in list(_observers.values()):
            try:
                observer(record)
            except Exception:
                # A broken exporter must not cost the user a result; the log says what broke.
                logger.exception("an observer of rerank_plugins failed")
