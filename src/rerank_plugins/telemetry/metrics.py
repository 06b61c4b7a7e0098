"""Prometheus metrics: the counters of every loaded model, read at each scrape."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from rerank_plugins.checks.arguments import checked_call
from rerank_plugins.checks.kinds import shown
from rerank_plugins.engine.registry import MODELS
from rerank_plugins.errors import InvalidInputError, MissingExtraError
from rerank_plugins.types import EngineStats

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from rerank_plugins.backends.loaded import LoadedModel

__all__ = ["export_to_prometheus"]

_LABELS = ("model", "device", "dtype")
_GAUGES = ("batch_tokens", "waiting_calls", "waiting_tokens")
_NAMES = {"queue_s": "queue_seconds", "forward_s": "forward_seconds"}


@checked_call()
def export_to_prometheus(registry: CollectorRegistry | None = None) -> Callable[[], None]:
    """Export the counters of every loaded model.

    Each number of :class:`~rerank_plugins.types.EngineStats` is a metric ``rerank_...`` with the labels ``model``,
    ``device`` and ``dtype``: a gauge for a current value (``rerank_waiting_calls``), otherwise a counter
    (``rerank_tokens_total``, ``rerank_forward_seconds_total``). A model that is unloaded is no longer exported.

    Args:
        registry: Where to register; None takes Prometheus' own.

    Returns:
        A function that stops that.

    Raises:
        MissingExtraError: prometheus-client is not installed.
    """
    try:
        from prometheus_client import REGISTRY, CollectorRegistry
    except ImportError as error:
        msg = 'metrics need prometheus-client: pip install "rerank-plugins[telemetry]"'
        raise MissingExtraError(msg) from error
    if registry is not None and not isinstance(registry, CollectorRegistry):
        msg = f"registry must be a CollectorRegistry of prometheus_client or None, got {shown(registry)}"
        raise InvalidInputError(msg)
    target = REGISTRY if registry is None else registry
    collector = _Collector()
    target.register(collector)
    return lambda: target.unregister(collector)


class _Collector:
    """The collector that prometheus-client calls at each scrape; ``describe`` avoids a call at registration."""

    def describe(self) -> list[Any]:
        return []

    def collect(self) -> Iterator[Any]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        loaded = [(model, model.stats()) for model in _loaded_models()]
        for name in (field.name for field in fields(EngineStats)):
            kind = GaugeMetricFamily if name in _GAUGES else CounterMetricFamily
            text = f"EngineStats.{name} of the models in this process."
            family = kind(f"rerank_{_NAMES.get(name, name)}", text, labels=_LABELS)
            for (model, device, dtype), value in _by_labels(loaded, name).items():
                family.add_metric([model, device, dtype], value)
            yield family


def _loaded_models() -> list[LoadedModel]:
    held = MODELS.loaded()
    if not held:
        return []  # As always where there is no torch, which the class needs.
    from rerank_plugins.backends.loaded import LoadedModel

    return [model for model in held if isinstance(model, LoadedModel)]


def _by_labels(loaded: list[tuple[LoadedModel, EngineStats]], name: str) -> dict[tuple[str, str, str], float]:
    """Return one value for each set of labels: the values of two checkpoints with one name are summed."""
    values: dict[tuple[str, str, str], float] = {}
    for model, stats in loaded:
        labels = (model.name, model.device, model.dtype)
        values[labels] = values.get(labels, 0.0) + float(getattr(stats, name))
    return values
