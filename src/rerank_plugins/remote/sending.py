"""What is sent in one attempt, how httpx is told, and what it means that an attempt fails."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rerank_plugins.errors import RemoteError
from rerank_plugins.remote.bodies import ACCEPTED, BodyReader
from rerank_plugins.remote.replies import Reply
from rerank_plugins.remote.settings import HttpSettings

__all__ = ["Send", "body_reader", "failures", "is_connected", "late", "meaning_of", "options_of", "reply_of"]

_CONNECTED = frozenset(f"{name}.complete" for name in ("connect_tcp", "connect_unix_socket", "start_tls"))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Send:
    """A request that is to be sent.

    Attributes:
        host: The server's name, for messages.
        url: Where it goes.
        body: JSON.
        headers: Those of the request; the key is one.
        timeout_s: Seconds until the answer must be there.
        attempt_s: Seconds of the attempt that it belongs to, for messages: redirects take some of them.
        settings: Of the client.
    """

    host: str
    url: str
    body: bytes
    headers: Mapping[str, str]
    timeout_s: float
    attempt_s: float
    settings: HttpSettings


def options_of(send: Send, httpx: Any, trace: Any) -> dict[str, Any]:
    """Return what ``httpx.Client.stream`` takes besides method and address.

    Args:
        send: The request.
        httpx: The module.
        trace: Is told of what happens on the way, such as a connection that was made.
    """
    limit_s = send.timeout_s
    return {
        "content": send.body,
        "headers": {**send.headers, "Accept-Encoding": ACCEPTED},
        "timeout": httpx.Timeout(limit_s, connect=min(send.settings.connect_timeout_s, limit_s)),
        "extensions": {"trace": trace},
    }


def is_connected(event: str) -> bool:
    """Return whether an event of httpcore's trace says that there is a new stream, which is its ``return_value``."""
    return event.partition(".")[2] in _CONNECTED


def body_reader(response: Any, send: Send) -> BodyReader:
    """Return what puts the body of an answer together."""
    encoding = response.headers.get("content-encoding", "")
    return BodyReader(encoding, most_bytes=send.settings.largest_answer_bytes, host=send.host)


def reply_of(response: Any, body: bytes, send: Send) -> Reply:
    """Return an answer that is whole."""
    headers = {str(name).lower(): str(value) for name, value in response.headers.items()}
    return Reply(int(response.status_code), headers, body, send.url)


def failures(httpx: Any) -> tuple[type[Exception], ...]:
    """Return what an attempt may end with."""
    # ValueError: a host's name that cannot be one is found out by whoever looks it up, or asks for its certificate.
    return (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError, RemoteError)


def meaning_of(error: Exception, httpx: Any, send: Send) -> RemoteError:
    """Return what a failed attempt means; the texts of a transport's errors hold no key and no body."""
    if isinstance(error, RemoteError):
        return error
    if isinstance(error, httpx.InvalidURL) and _is_address(httpx, send.url):
        # httpx reads where a redirect leads although it does not follow it. Not shown: the server chose the words.
        return RemoteError(f"{send.host} redirects to an address that cannot be read, which is not followed")
    never = (httpx.InvalidURL, httpx.UnsupportedProtocol, ValueError)
    if isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout, *never)):
        msg = f"{send.host} cannot be reached ({type(error).__name__}: {error}); check base_url and the network"
        return RemoteError(msg, is_passing=not isinstance(error, never), is_reached=False)
    if isinstance(error, httpx.TimeoutException):
        return late(send)
    return RemoteError(f"{send.host} broke off its answer ({type(error).__name__})", is_passing=True)


def late(send: Send) -> RemoteError:
    """Return the error of an answer that is not there in time."""
    return RemoteError(f"{send.host} did not answer within {send.attempt_s:.3g} s", is_passing=True)


def _is_address(httpx: Any, url: str) -> bool:
    try:
        httpx.URL(url)
    except httpx.InvalidURL:
        return False
    return True
