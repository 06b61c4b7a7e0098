"""How requests are made, and where: values that are checked before anything is sent."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlsplit

from rerank_plugins.checks.arguments import checked_fields
from rerank_plugins.checks.kinds import Count, Seconds, Within
from rerank_plugins.errors import InvalidInputError

__all__ = ["HttpSettings", "checked_url", "key_of"]


@checked_fields()
@dataclass(frozen=True, slots=True, kw_only=True)
class HttpSettings:
    """How requests to a server are made.

    Attributes:
        timeout_s: Seconds for one attempt, from looking up the server's address until the answer is there: handshakes
            and redirects included, and however little a server sends at a time.
        connect_timeout_s: Of these, seconds until the server takes the connection.
        retries: Attempts after the first one, where the same request may succeed later: time-outs, closed connections,
            answers cut short, 408, 425, 429 and 5xx.
        longest_wait_s: Seconds between two attempts at most. A server that asks for more (``Retry-After``) is not
            waited for.
        largest_answer_bytes: Bytes of an answer at most, decompressed; larger ones are an error.
    """

    timeout_s: Seconds = 60.0
    connect_timeout_s: Seconds = 10.0
    retries: Annotated[int, Within(0, 20)] = 2
    longest_wait_s: Annotated[float, Within(0.0)] = 30.0
    largest_answer_bytes: Count = 16 * 2**20


def checked_url(base_url: str) -> str:
    """Return the address of a server without a slash at its end.

    Raises:
        InvalidInputError: It is not http or https, has no host, or holds a user, a key or anything behind its path.
    """
    try:
        parts = urlsplit(base_url.strip())
        has_host, _ = bool(parts.hostname), parts.port
    except ValueError:
        has_host, parts = False, urlsplit("")
    if parts.scheme not in ("http", "https") or not has_host:
        got = "" if "@" in base_url else f", got {base_url!r}"
        msg = f"base_url must be an address such as https://api.example.org/v1{got}"
        raise InvalidInputError(msg)
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        # Not shown: what stands there may be a password.
        msg = (
            f"base_url for {parts.hostname!r} holds a user, a query or a fragment, which would appear in logs; give "
            "the address alone, and the key in an environment variable"
        )
        raise InvalidInputError(msg)
    return base_url.strip().rstrip("/")


def key_of(variable: str | None) -> str:
    """Return the key in an environment variable, read now and kept nowhere; empty if no key is sent.

    Raises:
        InvalidInputError: The variable is not set, or holds what no header can.
    """
    if variable is None:
        return ""
    key = os.environ.get(variable, "").strip()
    if not key:
        msg = f"the server needs a key, and the environment variable {variable!r} is not set or empty; set it"
        raise InvalidInputError(msg)
    if not (key.isascii() and key.isprintable()):
        msg = f"the key in the environment variable {variable!r} holds characters that no header can; set it anew"
        raise InvalidInputError(msg)
    return key
