"""Which failures of a call pass: the same call may succeed later, whatever client or framework made it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from concurrent.futures import TimeoutError as WaitedTooLong

from rerank_plugins.errors import OverloadedError, RemoteError, RerankPluginsError

__all__ = ["passes"]

_BROKEN = (ConnectionResetError, ConnectionAbortedError, BrokenPipeError)
"""An address where nobody listens, or that there is none of, is a mistake to be told."""

_TIMEOUTS = ("Timeout", "TimeoutError", "TimeoutException")
_BROKEN_NAMES = frozenset(
    {
        *("ReadError", "WriteError", "RemoteProtocolError"),  # httpx
        *("ServerDisconnectedError", "ClientPayloadError"),  # aiohttp
        *("ChunkedEncodingError", "ProtocolError"),  # requests, urllib3
    }
)
_LONGEST_CHAIN = 8


def passes(error: BaseException) -> bool:
    """Return whether the same call may succeed later, also for the errors of clients that are not known here."""
    if isinstance(error, RemoteError):
        return error.is_passing and error.is_reached
    if isinstance(error, (TimeoutError, WaitedTooLong, asyncio.TimeoutError, OverloadedError)):
        return True
    if isinstance(error, RerankPluginsError):
        return False
    # Clients and frameworks wrap each other's errors.
    chain = list(_chain(error))
    status = next((found for one in chain if (found := _http_status(one)) is not None), None)
    if status is not None:
        return status in (408, 425, 429) or status >= 500
    return any(isinstance(one, _BROKEN) or _is_named_so(type(one).__name__) for one in chain)


def _is_named_so(name: str) -> bool:
    return name.endswith(_TIMEOUTS) or name in _BROKEN_NAMES


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and those that it was raised for."""
    one: BaseException | None = error
    for _ in range(_LONGEST_CHAIN):
        if one is None:
            return
        yield one
        one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)


def _http_status(error: BaseException) -> int | None:
    """Return the HTTP status that an error of some client tells; None if it tells none."""
    response = getattr(error, "response", None)
    of_aws = response.get("ResponseMetadata") if isinstance(response, Mapping) else None
    places = (
        getattr(error, "status_code", None),
        getattr(error, "code", None),  # Google's
        getattr(response, "status_code", None),  # httpx, requests
        of_aws.get("HTTPStatusCode") if isinstance(of_aws, Mapping) else None,
    )
    return next((int(one) for one in places if isinstance(one, int) and 400 <= one < 600), None)
