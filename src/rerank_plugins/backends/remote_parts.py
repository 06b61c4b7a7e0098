"""What the backends of services, for scores and for vectors, have in common."""

from __future__ import annotations

import os
import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import partial
from typing import Any, TypeVar

from rerank_plugins.checks.kinds import shown
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.remote import HttpClient, HttpSettings, RemotePrice
from rerank_plugins.remote.dialects.base import EmbedDialect, RemoteResult, RerankDialect, Service
from rerank_plugins.types import CallUsage, RemoteUsage

__all__ = ["client_of", "dialect_of", "identity_of", "model_name", "service_of", "usage_of"]

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

D = TypeVar("D", RerankDialect, EmbedDialect)


def dialect_of(service: object, kind: type[D], known: Mapping[str, D]) -> D:
    """Return the dialect of a name, or the one that was passed; raise InvalidInputError for anything else."""
    if isinstance(service, kind):
        return service
    if not isinstance(service, str) or service not in known:
        msg = f"service must be one of {', '.join(known)}, or a {kind.__name__}; got {shown(service)}"
        raise InvalidInputError(msg)
    return known[service]


def service_of(dialect: D, known: Mapping[str, D]) -> str | D:
    """Return the name that stands for a dialect; one of a caller's own stands for itself, whatever its service's name.

    Such a one may be a known one with changes, which asks for something else.
    """
    name = dialect.service.name
    return name if known.get(name) is dialect else dialect


def identity_of(dialect: D, known: Mapping[str, D]) -> Hashable:
    """Return what tells a dialect from others, the same in every process unless it holds functions without a name."""
    service = service_of(dialect, known)
    return service if isinstance(service, str) else _facts(service)


def _facts(value: Any) -> Hashable:
    """Return a part of a dialect as something to compare; functions that have a place in a module by their names."""
    if is_dataclass(value) and not isinstance(value, type):
        return tuple((one.name, _facts(getattr(value, one.name))) for one in fields(value))
    if isinstance(value, partial):
        return tuple(map(_facts, (value.func, value.args, value.keywords)))
    if isinstance(value, Mapping):
        return tuple((name, _facts(value[name])) for name in sorted(value))
    if isinstance(value, (list, tuple)):
        return tuple(map(_facts, value))
    name = getattr(value, "__qualname__", "<")
    # Of a function within another one, and of a bound method, the name does not say all.
    is_whole = "<" not in name and getattr(value, "__self__", None) is None
    return f"{value.__module__}.{name}" if is_whole else value


def model_name(service: Service, model: str) -> str:
    """Return the model's name; raise InvalidInputError if the service needs one and there is none."""
    if service.needs_model and not model.strip():
        where = f"{service.name}:MODEL" if service.base_url else f"{service.name}:http://host:port#MODEL"
        msg = f"the name of the model at {service.name!r} is missing; write {where}"
        raise InvalidInputError(msg)
    return model.strip()


def client_of(
    service: Service, path: str, base_url: str | None, key_env: str | None, http: HttpSettings | None
) -> tuple[HttpClient, str]:
    """Return what sends requests, and the path behind its address.

    An address may be given with the beginning of the path, or all of it, as applications have it
    (``http://h/v1/rerank``). The vendor's key goes to the vendor's own address only.
    """
    if key_env is not None and not _VARIABLE.fullmatch(key_env):
        # Not shown: it may be the key itself.
        msg = "key_env must be the name of an environment variable that holds the key: letters, digits and '_'"
        raise InvalidInputError(msg)
    address = (base_url or service.base_url).strip().rstrip("/")
    if not address:
        msg = f"{service.name!r} runs where you run it: write {service.name}:http://host:port, or pass base_url"
        raise InvalidInputError(msg)
    if key_env is None and address == service.base_url and service.key_envs:
        key_env = next((name for name in service.key_envs if os.environ.get(name)), service.key_envs[0])
    for end in sorted(_path_prefixes(path), key=len, reverse=True):
        if address != service.base_url and address.endswith(end):
            address = address[: -len(end)]
            break
    return HttpClient(address, key_env=key_env, settings=http), path


def _path_prefixes(path: str) -> list[str]:
    parts = path.split("/")[1:]
    return ["/" + "/".join(parts[:n]) for n in range(1, len(parts) + 1)]


def usage_of(parts: Sequence[RemoteResult], price: RemotePrice | None, *, n_inputs: int, total_s: float) -> CallUsage:
    """Return what a call took.

    Args:
        parts: What was read of its answers.
        price: What that costs; None if it is not known.
        n_inputs: Texts, or pairs.
        total_s: Seconds from asking to having.
    """
    tokens, searches = sum(one.tokens for one in parts), sum(one.searches for one in parts)
    cost = None if price is None else price.of(tokens=tokens, searches=searches)
    return CallUsage(
        tokenize_ms=0.0,
        queue_ms=0.0,
        forward_ms=total_s * 1e3,
        inputs=n_inputs,
        tokens=tokens,
        reused_inputs=0,
        remote=RemoteUsage(requests=len(parts), tokens=tokens, searches=searches, cost=cost),
    )
