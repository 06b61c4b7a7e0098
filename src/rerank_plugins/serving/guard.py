"""Who is let in: one check in front of every path, with a short list of those that are open."""

from __future__ import annotations

from collections.abc import Mapping

from rerank_plugins.serving.refusals import Refusal
from rerank_plugins.serving.settings import ApiKeys, ServeSettings

__all__ = ["OPEN_PATHS", "Guard"]

_AUTH = "/v1/cluster/auth"
OPEN_PATHS = frozenset({"/livez", "/readyz", "/health", "/ping", "/v1/health/live", "/v1/health/ready", _AUTH})
"""Probes, and what Xinference's client asks before it sends a key: whether it needs one."""

_KEY_HEADERS = ("x-api-key", "api-key")


class Guard:
    """Checks the key of each request.

    Args:
        settings: The keys, and whether metrics are open.
    """

    def __init__(self, settings: ServeSettings) -> None:
        self._keys: ApiKeys = settings.keys
        self._open = OPEN_PATHS | ({"/metrics"} if settings.open_metrics else frozenset())

    @property
    def is_locked(self) -> bool:
        """Whether a key is needed at all."""
        return bool(self._keys)

    def check(self, path: str, headers: Mapping[str, str]) -> None:
        """Let a request in.

        Args:
            path: Its path; one that is in no table needs a key too.
            headers: Its headers, with lower-case names.

        Raises:
            Refusal: It brings no key, or a wrong one.
        """
        if not self._keys or (path.rstrip("/") or "/") in self._open:
            return
        if not self._keys.opens(_offered(headers)):
            msg = "a valid API key is needed: Authorization: Bearer KEY"
            raise Refusal(msg, kind="unauthorized")


def _offered(headers: Mapping[str, str]) -> str:
    """Return the key of a request, with ``Bearer`` or, as LlamaIndex's TEI class sends it, without."""
    written = headers.get("authorization", "")
    scheme, _, key = written.partition(" ")
    if written:
        return key.strip() if scheme.lower() == "bearer" else written.strip()
    return next((headers[name] for name in _KEY_HEADERS if name in headers), "")
