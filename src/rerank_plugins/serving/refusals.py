"""Why a request gets no result: one exception, whose kind each dialect turns into a status and a body of its own."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from rerank_plugins.errors import (
    DeadlineExceededError,
    EngineClosedError,
    InvalidInputError,
    ModelError,
    OverloadedError,
    RemoteError,
    RerankPluginsError,
)

__all__ = ["STATUSES", "Kind", "Refusal", "refusal_of"]

Kind = Literal[
    "malformed",
    "invalid",
    "empty",
    "too_many",
    "unauthorized",
    "unknown_model",
    "unknown_path",
    "wrong_method",
    "slow",
    "too_large",
    "encoded",
    "overloaded",
    "failed",
    "upstream",
    "unavailable",
    "late",
]

STATUSES: Mapping[Kind, int] = MappingProxyType(
    {
        "malformed": 400,
        "invalid": 400,
        "empty": 400,
        "too_many": 400,
        "unauthorized": 401,
        "unknown_model": 404,
        "unknown_path": 404,
        "wrong_method": 405,
        "slow": 408,
        "too_large": 413,
        "encoded": 415,
        "overloaded": 429,
        "failed": 500,
        "upstream": 502,
        "unavailable": 503,
        "late": 504,
    }
)
"""The status of each kind, where a dialect has no other: ``malformed`` is no JSON object, ``invalid`` a wrong field,
``empty`` no text, ``too_many`` documents, ``encoded`` a compressed body, ``upstream`` a service behind a model that
answered with an error, ``unavailable`` a model that loads, or a service that cannot be reached."""


class Refusal(Exception):
    """A request that is answered with an error.

    Args:
        message: For the caller; it quotes no text of the request.
        kind: What is wrong.
        param: The field that is wrong; None if it is not one field.
        retry_after_s: Seconds after which to try again; None for requests that will not do better.
        closes: Whether the connection is given up, because the rest of the request was not read.
        allow: Methods that the path takes; empty where the method is not what is wrong.
    """

    def __init__(
        self,
        message: str,
        *,
        kind: Kind,
        param: str | None = None,
        retry_after_s: int | None = None,
        closes: bool = False,
        allow: str = "",
    ) -> None:
        super().__init__(message)
        self.kind: Kind = kind
        self.message, self.param = message, param
        self.retry_after_s, self.closes, self.allow = retry_after_s, closes, allow


_TOO_MANY, _SERVICE_PAUSE_S = 429, 5

_KINDS: tuple[tuple[type[RerankPluginsError], Kind, int | None], ...] = (
    (InvalidInputError, "invalid", None),
    (OverloadedError, "overloaded", 1),
    (DeadlineExceededError, "late", None),
    (EngineClosedError, "unavailable", 1),
    (ModelError, "unavailable", 30),
)


def refusal_of(error: RerankPluginsError) -> Refusal:
    """Return the refusal for an error of a facade; an error that is not the caller's is ``failed``."""
    if isinstance(error, RemoteError):
        return _of_service(error)
    for of, kind, retry_after_s in _KINDS:
        if isinstance(error, of):
            return Refusal(str(error), kind=kind, retry_after_s=retry_after_s)
    return Refusal("the model gave no result for this request; the server's log says more", kind="failed")


def _of_service(error: RemoteError) -> Refusal:
    """Return the refusal for an error of the service behind a model; its words may quote the request's texts."""
    said = "gave no answer" if error.status is None else f"answered with HTTP {error.status}"
    retry_after_s = math.ceil(error.retry_after_s or _SERVICE_PAUSE_S)
    if error.status == _TOO_MANY:
        msg = "the service behind this model takes no more requests now"
        return Refusal(msg, kind="overloaded", retry_after_s=retry_after_s)
    if error.is_passing or not error.is_reached:
        msg = f"the service behind this model {said}; it may later"
        return Refusal(msg, kind="unavailable", retry_after_s=retry_after_s)
    msg = f"the service behind this model {said}: its address, its key and the model's name are this server's settings"
    return Refusal(msg, kind="upstream")
