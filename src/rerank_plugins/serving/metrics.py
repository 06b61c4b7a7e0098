"""Prometheus metrics of the server, beside those of the models."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rerank_plugins.calls.observing import CallRecord, add_observer
from rerank_plugins.checks.optional import import_extra
from rerank_plugins.serving.exchange import Reply
from rerank_plugins.serving.taken import note_usages
from rerank_plugins.telemetry.metrics import export_to_prometheus

__all__ = ["ServerMetrics"]

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_MANY = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000)


class ServerMetrics:
    """Counters of one server, in a registry of their own. Labels are words of tables, never words of requests.

    Raises:
        MissingExtraError: prometheus-client is not installed.
    """

    def __init__(self) -> None:
        client = import_extra("prometheus_client", extra="serve")
        self._client, self._registry = client, client.CollectorRegistry()
        make = _maker(self._registry)
        labels = ("dialect", "route", "status")
        self._requests = make(client.Counter, "rerank_http_requests", "Requests that were answered.", labels)
        self._seconds = make(
            client.Histogram,
            "rerank_http_request_duration_seconds",
            "From the request's headers to the end of its answer.",
            ("dialect", "route"),
            _SECONDS,
        )
        self._bytes = make(client.Counter, "rerank_http_request_bytes", "Bytes of bodies that were read.", ())
        self.in_flight = make(client.Gauge, "rerank_http_in_flight", "Requests under way.", ())
        self._refused = make(client.Counter, "rerank_refused", "Requests that were refused, by reason.", ("reason",))
        self._documents = make(
            client.Histogram, "rerank_documents_per_request", "Documents or texts of a request.", ("route",), _MANY
        )
        stage = ("operation", "stage")
        self._stages = make(
            client.Histogram, "rerank_call_stage_seconds", "Stages of a call in the engine.", stage, _SECONDS
        )
        self._undo = [export_to_prometheus(self._registry), add_observer(self._observe), note_usages()]

    def answered(self, dialect: str, route: str, status: int, *, seconds: float, n_bytes: int) -> None:
        """Count a request that was answered."""
        self._requests.labels(dialect, route, str(status)).inc()
        self._seconds.labels(dialect, route).observe(seconds)
        self._bytes.inc(n_bytes)

    def refused(self, reason: str) -> None:
        """Count a refusal."""
        self._refused.labels(reason).inc()

    def documents(self, route: str, n: int) -> None:
        """Count the documents of a request."""
        self._documents.labels(route).observe(n)

    def page(self) -> Reply:
        """Return all metrics in Prometheus' text format."""
        body = self._client.generate_latest(self._registry)
        return Reply(status=200, body=body, content_type=self._client.CONTENT_TYPE_LATEST)

    def close(self) -> None:
        """Stop counting."""
        for undo in self._undo:
            undo()
        self._undo = []

    def _observe(self, record: CallRecord) -> None:
        usage = record.usage
        if usage is None:
            return
        stages = {"tokenize": usage.tokenize_ms, "queue": usage.queue_ms, "forward": usage.forward_ms}
        for stage, milliseconds in stages.items():
            self._stages.labels(record.operation, stage).observe(milliseconds / 1_000)


def _maker(registry: Any) -> Callable[..., Any]:
    def make(kind: Any, name: str, text: str, labels: tuple[str, ...], buckets: tuple[float, ...] = ()) -> Any:
        more = {"buckets": buckets} if buckets else {}
        return kind(name, text, labels, registry=registry, **more)

    return make
