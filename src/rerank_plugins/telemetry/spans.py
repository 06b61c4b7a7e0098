"""OpenTelemetry spans: one for each call, with a child span for each of its stages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING

from rerank_plugins.calls.observing import CallRecord, add_observer
from rerank_plugins.checks.arguments import checked_call
from rerank_plugins.checks.kinds import shown
from rerank_plugins.errors import InvalidInputError, MissingExtraError

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer, TracerProvider

__all__ = ["trace_with_opentelemetry"]

_NS_PER_MS = 1_000_000


@checked_call()
def trace_with_opentelemetry(tracer_provider: TracerProvider | None = None) -> Callable[[], None]:
    """Record every call of this process as a span.

    The span is called ``rerank`` or ``embed`` and is a child of the span that is current where the call was made. Its
    children ``tokenize``, ``queue`` and ``forward`` are the stages. Attributes: ``rerank.model``, ``rerank.device``,
    ``rerank.inputs``, ``rerank.tokens``, ``rerank.reused_inputs``, the counts of a chat model as ``rerank.chat.calls``
    and of a service as ``rerank.remote.requests`` and so on, and ``error.type`` for a call that failed.

    Args:
        tracer_provider: Where spans go; None takes the process's own.

    Returns:
        A function that stops that.

    Raises:
        MissingExtraError: OpenTelemetry is not installed.
    """
    try:
        from opentelemetry import trace
    except ImportError as error:
        msg = 'tracing needs OpenTelemetry: pip install "rerank-plugins[telemetry]"'
        raise MissingExtraError(msg) from error
    if tracer_provider is not None and not isinstance(tracer_provider, trace.TracerProvider):
        msg = f"tracer_provider must be a TracerProvider of OpenTelemetry or None, got {shown(tracer_provider)}"
        raise InvalidInputError(msg)
    tracer = trace.get_tracer("rerank_plugins", tracer_provider=tracer_provider)
    return add_observer(lambda record: _record(tracer, record))


def _record(tracer: Tracer, record: CallRecord) -> None:
    from opentelemetry import trace
    from opentelemetry.trace import StatusCode

    span = tracer.start_span(record.operation, start_time=record.started_ns)
    span.set_attribute("rerank.model", record.model)
    span.set_attribute("rerank.device", record.device)
    if record.error is not None:
        span.set_attribute("error.type", record.error)
        span.set_status(StatusCode.ERROR, record.error)
    usage = record.usage
    if usage is not None:
        span.set_attribute("rerank.inputs", usage.inputs)
        span.set_attribute("rerank.tokens", usage.tokens)
        span.set_attribute("rerank.reused_inputs", usage.reused_inputs)
        if usage.chat is not None:
            for name, value in asdict(usage.chat).items():
                if value is not None:
                    span.set_attribute(f"rerank.chat.{name}", value)
        if usage.remote is not None:
            for name, value in asdict(usage.remote).items():
                if value is not None:
                    span.set_attribute(f"rerank.remote.{name}", value)
        context = trace.set_span_in_context(span)
        start_ns = record.started_ns
        stages = (("tokenize", usage.tokenize_ms), ("queue", usage.queue_ms), ("forward", usage.forward_ms))
        for name, duration_ms in stages:
            end_ns = start_ns + round(duration_ms * _NS_PER_MS)
            tracer.start_span(name, context=context, start_time=start_ns).end(end_ns)
            start_ns = end_ns
    span.end(record.ended_ns)
