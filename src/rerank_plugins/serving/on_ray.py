"""The server as an application of Ray Serve: replicas on many machines, each the whole server with its own models.

Serve routes requests and starts replicas; batches, limits and deadlines stay those of the server in each replica. It
does not repeat a request whose replica dies: what must not be lost is sent by a client that tries again.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Annotated, Any

from rerank_plugins.checks.arguments import checked_fields
from rerank_plugins.checks.kinds import Count, Within
from rerank_plugins.checks.optional import import_extra
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.remote.cluster import connected_ray
from rerank_plugins.serving.settings import ServeSettings

if TYPE_CHECKING:
    from rerank_plugins.serving.app import ServingApp

__all__ = ["RayReplicas", "desired_replicas", "ray_application", "serve_on_ray"]

_STATISTIC = "waiting_tokens"
_NAME = "rerank-plugins"
_ERROR = re.compile(r"[\w.]+(Error|Exception): ")


@checked_fields()
@dataclass(frozen=True, slots=True, kw_only=True)
class RayReplicas:
    """How many replicas there are, and what each has.

    Attributes:
        replicas: At least this many.
        max_replicas: At most this many, by the tokens that wait; None keeps ``replicas``.
        target_waiting_tokens: Tokens under way in a replica above which another one is started. Requests are no
            measure: one has a document and the next a thousand.
        cpus: Cores of a replica, which are also its threads.
        gpus: Its share of a GPU. Two replicas of one model on a GPU only hold its weights twice.
        max_ongoing_requests: Requests that Serve gives a replica at once; the server in it refuses by tokens.
    """

    replicas: Count = 1
    max_replicas: Count | None = None
    target_waiting_tokens: Count = 50_000
    cpus: Annotated[float, Within(0.0, is_open=True)] = 1.0
    gpus: Annotated[float, Within(0.0)] = 0.0
    max_ongoing_requests: Count = 1_000

    def __post_init__(self) -> None:
        if self.max_replicas is not None and self.max_replicas < self.replicas:
            msg = f"max_replicas={self.max_replicas} is below replicas={self.replicas}"
            raise InvalidInputError(msg)


class Replica:
    """One server in one process. Ray Serve makes it; its methods are names that Serve knows."""

    # Serve awaits it, so that no request comes before the models are there.
    async def __init__(self, settings: ServeSettings, n_threads: int) -> None:  # type: ignore[misc]
        from contextlib import suppress

        from rerank_plugins.serving.app import serving_app

        with suppress(ModuleNotFoundError):  # a service, or a backend of somebody's own, needs none
            import torch

            torch.set_num_threads(n_threads)
        self._app = serving_app(settings)
        await self._app.load()

    def __serve_build_asgi_app__(self) -> ServingApp:
        return self._app

    async def record_autoscaling_stats(self) -> dict[str, float]:
        """Return what the number of replicas is decided by."""
        return {_STATISTIC: float(self._app.waiting_tokens)}


class WaitingTokensPolicy:
    """Asks Serve for as many replicas as the waiting tokens need.

    Args:
        target_waiting_tokens: Tokens a replica.
    """

    def __init__(self, target_waiting_tokens: int) -> None:
        self._target = target_waiting_tokens

    def __call__(self, context: Any) -> tuple[int, dict[str, Any]]:
        """Return the number of replicas, and a state that is not needed."""
        series = (context.raw_metrics or {}).get(_STATISTIC, {})
        latest = [points[-1].value for points in series.values() if points]
        return desired_replicas(sum(latest), self._target), {}


def desired_replicas(waiting_tokens: float, target_waiting_tokens: int) -> int:
    """Return how many replicas waiting tokens need: 1 for none."""
    return max(1, ceil(waiting_tokens / target_waiting_tokens))


def ray_application(settings: ServeSettings, replicas: RayReplicas) -> Any:
    """Return the server as an application for ``ray.serve.run``, or for a Serve config file that imports it.

    Args:
        settings: What each replica serves, and how. Keys travel as digests.
        replicas: How many, and what each has.

    Raises:
        MissingExtraError: Ray Serve is not installed.
    """
    serve = import_extra("ray.serve", extra="ray")
    options: dict[str, Any] = {
        "name": _NAME,
        "ray_actor_options": {"num_cpus": replicas.cpus, "num_gpus": replicas.gpus},
        "max_ongoing_requests": replicas.max_ongoing_requests,
        "graceful_shutdown_timeout_s": settings.limits.drain_s,
    }
    if replicas.max_replicas is None:
        options["num_replicas"] = replicas.replicas
    else:
        options["autoscaling_config"] = _autoscaling(replicas)
    replica = serve.ingress()(Replica)
    return serve.deployment(**options)(replica).bind(settings, max(1, round(replicas.cpus)))


def serve_on_ray(settings: ServeSettings, replicas: RayReplicas, *, host: str, port: int, address: str | None) -> None:
    """Serve on a cluster until Ctrl-C or SIGTERM; a second call with other settings replaces replica by replica.

    Args:
        settings: What each replica serves, and how.
        replicas: How many, and what each has.
        host: Address that Serve listens on.
        port: Its port.
        address: The cluster; None takes the one of this machine, or starts one.

    Raises:
        MissingExtraError: Ray Serve is not installed.
        InvalidInputError: There is no such cluster, the port is 0, or the replicas cannot be started, for example
            because a model cannot be opened.
    """
    if not port:
        msg = "port 0 (a free one) is not possible with Ray Serve; name a port"
        raise InvalidInputError(msg)
    application = ray_application(settings, replicas)
    connected_ray(address)
    serve = import_extra("ray.serve", extra="ray")
    serve.start(http_options={"host": host, "port": port})
    try:
        serve.run(application, name=_NAME, route_prefix="/", blocking=True)
    except RuntimeError as error:
        msg = f"the replicas could not be started: {_reason(serve) or error}"
        raise InvalidInputError(msg) from error


def _reason(serve: Any) -> str:
    """Return why the replicas fail: Ray tells it as the traceback in them, of which the last line that is one is it."""
    found = serve.status().applications.get(_NAME)
    messages = "\n".join(one.message for one in found.deployments.values()) if found is not None else ""
    errors = [line.strip() for line in messages.splitlines() if _ERROR.match(line.strip())]
    return errors[-1] if errors else ""


def _autoscaling(replicas: RayReplicas) -> Any:
    config = import_extra("ray.serve.config", extra="ray")
    policy = config.AutoscalingPolicy(
        policy_function=WaitingTokensPolicy,
        policy_kwargs={"target_waiting_tokens": replicas.target_waiting_tokens},
    )
    return config.AutoscalingConfig(min_replicas=replicas.replicas, max_replicas=replicas.max_replicas, policy=policy)
