"""Records what a call reports to LlamaIndex's two tracing systems."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from llama_index.core.callbacks import CallbackManager, CBEventType
from llama_index.core.callbacks.base_handler import BaseCallbackHandler
from llama_index.core.instrumentation.events.rerank import ReRankEndEvent, ReRankStartEvent
from llama_index_instrumentation import get_dispatcher
from llama_index_instrumentation.base import BaseEvent
from llama_index_instrumentation.event_handlers.base import BaseEventHandler

__all__ = ["Recording", "recording"]


@dataclass(eq=False)
class Recording:
    """What was reported, in order.

    Attributes:
        events: Rerank events of the instrumentation.
        callbacks: ("start" or "end", payload) of each reranking callback.
        callback_manager: Pass it to what is recorded.
    """

    events: list[BaseEvent] = field(default_factory=list)
    callbacks: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    callback_manager: CallbackManager = field(default_factory=CallbackManager)

    @property
    def names(self) -> list[str]:
        """Names of the rerank events."""
        return [event.class_name() for event in self.events]

    @property
    def phases(self) -> list[str]:
        """Phases of the reranking callbacks: start, end."""
        return [phase for phase, _ in self.callbacks]


class _Events(BaseEventHandler):
    seen: list[Any]

    def handle(self, event: BaseEvent, **kwargs: Any) -> None:
        if isinstance(event, (ReRankStartEvent, ReRankEndEvent)):
            self.seen.append(event)


class _Callbacks(BaseCallbackHandler):
    def __init__(self, seen: list[tuple[str, dict[str, Any]]]) -> None:
        super().__init__([], [])
        self._seen = seen

    def on_event_start(
        self,
        event_type: CBEventType,
        payload: dict[str, Any] | None = None,
        event_id: str = "",
        parent_id: str = "",
        **kwargs: Any,
    ) -> str:
        self._record("start", event_type, payload)
        return event_id

    def on_event_end(
        self,
        event_type: CBEventType,
        payload: dict[str, Any] | None = None,
        event_id: str = "",
        **kwargs: Any,
    ) -> None:
        self._record("end", event_type, payload)

    def start_trace(self, trace_id: str | None = None) -> None: ...

    def end_trace(self, trace_id: str | None = None, trace_map: dict[str, list[str]] | None = None) -> None: ...

    def _record(self, phase: str, event_type: CBEventType, payload: dict[str, Any] | None) -> None:
        if event_type == CBEventType.RERANKING:
            self._seen.append((phase, payload or {}))


@contextmanager
def recording() -> Iterator[Recording]:
    """Record rerank events of the whole process, and callbacks of ``callback_manager``, in a block."""
    record = Recording()
    record.callback_manager = CallbackManager([_Callbacks(record.callbacks)])
    handler = _Events(seen=[])
    record.events = handler.seen
    root = get_dispatcher()
    root.add_event_handler(handler)
    try:
        yield record
    finally:
        root.event_handlers.remove(handler)
