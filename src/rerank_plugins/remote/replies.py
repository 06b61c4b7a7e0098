"""What an answer of a server means: its JSON, or an error that says whether to try again, and when."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import SplitResult, urljoin, urlsplit

from rerank_plugins.errors import RemoteError

__all__ = ["Reply", "json_of", "redirected", "refusal_of"]

_PASSING = frozenset({408, 425, 429})
_KEEPS_METHOD, _REDIRECTS = (307, 308), (301, 302, 303, 307, 308)
_SHOWN_CHARACTERS = 300


@dataclass(frozen=True, slots=True, eq=False)
class Reply:
    """One answer of a server.

    Attributes:
        status: HTTP status.
        headers: By lower-case name.
        body: As it came, decompressed.
        url: What was asked.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str


def json_of(reply: Reply) -> Any:
    """Return the JSON of an answer, or raise RemoteError; the same request may get a whole one."""
    try:
        return json.loads(reply.body)
    except (ValueError, RecursionError) as error:
        msg = f"{_host(reply.url)} answered with {len(reply.body)} bytes that are no JSON ({type(error).__name__})"
        raise RemoteError(msg, status=reply.status, is_passing=True) from error


def refusal_of(reply: Reply, *, secret: str) -> RemoteError | None:
    """Return the error that an answer stands for; None for a success.

    Args:
        reply: The answer.
        secret: The key, which a server may repeat; it is left out of the message.
    """
    if 200 <= reply.status < 300:
        return None
    is_passing = reply.status in _PASSING or reply.status >= 500
    detail = _without(secret, _error_detail(reply.body))
    detail = f": {detail[:_SHOWN_CHARACTERS]}" if detail else ""
    msg = f"{_host(reply.url)} answered with HTTP {reply.status}{detail}{_way_out(reply.status)}"
    wait_s = _wait_s(reply.headers) if is_passing else None
    return RemoteError(msg, status=reply.status, is_passing=is_passing, retry_after_s=wait_s)


def redirected(reply: Reply, *, secret: str) -> str | None:
    """Return where an answer sends the same request on; None if it does not.

    Args:
        reply: The answer.
        secret: As of :func:`refusal_of`.

    Raises:
        RemoteError: To another host, which would get the key and the texts, or as another kind of request.
    """
    if reply.status not in _REDIRECTS or "location" not in reply.headers:
        return None
    try:
        target = urljoin(reply.url, reply.headers["location"])
        place, has_user = _origin(urlsplit(target)), "@" in urlsplit(target).netloc
    except ValueError:
        target, place, has_user = "", ("", "an address that cannot be read", None), False
    # A user in an address would be sent in place of the key.
    if place != _origin(urlsplit(reply.url)) or has_user or reply.status not in _KEEPS_METHOD:
        where = _without(secret, place[1])
        msg = (
            f"{_host(reply.url)} redirects (HTTP {reply.status}) to {where!r}, which is not followed: key and texts "
            "go to the server that was named only. If that is the right one, give its address as base_url"
        )
        raise RemoteError(msg, status=reply.status)
    return target


def _without(secret: str, text: str) -> str:
    """Return a text without the key; the name of a host comes in small letters."""
    return text.replace(secret, "***").replace(secret.lower(), "***") if secret else text


def _error_detail(body: bytes) -> str:
    """Return what a server says in its error, in one line, in the forms that are usual."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return ""  # A page of HTML says nothing to anybody.
    for name in ("error", "message", "detail"):
        if isinstance(value, Mapping) and value.get(name):
            value = value[name]
    return " ".join(value.split()) if isinstance(value, str) else ""


def _way_out(status: int) -> str:
    if status in (401, 403):
        return "; check the key in the environment variable, and what it may do"
    if status == 404:
        return "; check base_url and the model's name"
    return "; try again later, or with fewer requests at once" if status == 429 else ""


def _wait_s(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that a server asks to wait (RFC 9110, 10.2.3), or OpenAI's milliseconds; None for none."""
    for name, unit in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        value = headers.get(name, "").strip()
        try:
            seconds = float(value) * unit
        except ValueError:
            continue
        return max(0.0, seconds) if math.isfinite(seconds) else None
    try:
        at = parsedate_to_datetime(headers.get("retry-after", ""))
        return max(0.0, at.timestamp() - time.time())
    except (TypeError, ValueError, OverflowError):
        return None


def _host(url: str) -> str:
    return urlsplit(url).hostname or url


def _origin(parts: SplitResult) -> tuple[str, str, int | None]:
    return parts.scheme, parts.hostname or "", parts.port
