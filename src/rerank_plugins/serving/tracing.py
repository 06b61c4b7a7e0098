"""A span for each request that continues the caller's trace; the spans of the calls below it are its children."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rerank_plugins.checks.optional import import_extra
from rerank_plugins.telemetry.spans import trace_with_opentelemetry

__all__ = ["RequestSpans"]

_SERVER_ERROR = 500


class RequestSpans:
    """Records requests with the process's own tracer provider, or another.

    Args:
        provider: Where spans go; None takes the process's own.

    Raises:
        MissingExtraError: OpenTelemetry is not installed.
    """

    def __init__(self, provider: Any = None) -> None:
        self._undo = trace_with_opentelemetry(provider)
        self._trace = import_extra("opentelemetry.trace", extra="telemetry")
        self._propagate = import_extra("opentelemetry.propagate", extra="telemetry")
        self._tracer = self._trace.get_tracer("rerank_plugins", tracer_provider=provider)

    @contextmanager
    def request(self, method: str, headers: Mapping[str, str]) -> Iterator[Any]:
        """Record a request, as a block that gets the span."""
        parent = self._propagate.extract(dict(headers))
        kind = self._trace.SpanKind.SERVER
        with self._tracer.start_as_current_span(method, context=parent, kind=kind) as span:
            span.set_attribute("http.request.method", method)
            yield span

    def finish(self, span: Any, *, method: str, route: str, status: int) -> None:
        """Say what became of the request."""
        span.update_name(f"{method} {route}")
        span.set_attribute("http.route", route)
        span.set_attribute("http.response.status_code", status)
        if status >= _SERVER_ERROR:
            span.set_status(self._trace.StatusCode.ERROR)

    def close(self) -> None:
        """Stop recording the calls below."""
        self._undo()
