"""OpenTelemetry spans and Prometheus metrics, each switched on by a call.

::

    from rerank_plugins.telemetry import export_to_prometheus, trace_with_opentelemetry

    trace_with_opentelemetry()   # spans under the current one, with the tracer provider of the process
    export_to_prometheus()       # counters of every loaded model, in the default registry

Needs ``rerank-plugins[telemetry]``. No text of users is exported.
"""

from __future__ import annotations

from rerank_plugins.telemetry.metrics import export_to_prometheus
from rerank_plugins.telemetry.spans import trace_with_opentelemetry

__all__ = ["export_to_prometheus", "trace_with_opentelemetry"]
