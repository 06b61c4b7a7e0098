"""The connection of this process to a Ray cluster."""

from __future__ import annotations

import os
import socket
from typing import Any

from rerank_plugins.checks.optional import import_extra
from rerank_plugins.errors import InvalidInputError

__all__ = ["connected_ray"]

_CONNECT_S = 10.0


def connected_ray(address: str | None) -> tuple[Any, bool]:
    """Return Ray, connected, and whether it was connected here.

    Args:
        address: The cluster; None takes the one of ``RAY_ADDRESS`` or of this machine, or starts one here. A process
            that is connected already stays with its cluster.

    Raises:
        MissingExtraError: Ray is not installed.
        InvalidInputError: There is no such cluster, or it has another version of Ray or Python.
    """
    ray = import_extra("ray", extra="ray")
    if ray.is_initialized():
        return ray, False
    _check_reachable(address or os.environ.get("RAY_ADDRESS", ""))
    # Told of a cluster that runs, Ray refuses settings that are decided when it starts.
    starts_one = address is None and not os.environ.get("RAY_ADDRESS")
    settings: dict[str, Any] = {"include_dashboard": False} if starts_one else {}
    try:
        ray.init(address=address, log_to_driver=False, configure_logging=False, **settings)
    except (ConnectionError, ValueError, RuntimeError) as error:
        where = address or os.environ.get("RAY_ADDRESS") or "this machine"
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise _not_there(where, reason) from error
    return ray, True


def _check_reachable(address: str) -> None:
    """Raise InvalidInputError where nobody listens at ``host:port``; Ray tries for minutes. Other forms are Ray's."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal() or "/" in host:
        return
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_S):
            pass
    except (OSError, OverflowError) as error:
        raise _not_there(address, str(error)) from error


def _not_there(where: str, reason: str) -> InvalidInputError:
    msg = f"no Ray cluster at {where} ({reason}); start one with 'ray start --head', or name another address"
    return InvalidInputError(msg)
