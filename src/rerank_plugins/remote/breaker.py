"""Leaves a service alone that does not answer, so that callers do not each wait to find that out."""

from __future__ import annotations

import time

from rerank_plugins.errors import RemoteUnavailableError

__all__ = ["Breaker"]

_LONGEST_PAUSE_S = 300.0


class Breaker:
    """Counts requests in a row that ended without an answer. Two threads at the same moment may lose one.

    Args:
        name: The service, for messages.
        failures: After so many it is left alone.
        pause_s: For so many seconds, or for as long as it asked, up to five minutes; then one request is let through.
    """

    def __init__(self, name: str, *, failures: int, pause_s: float) -> None:
        self._name, self._most, self._pause_s = name, failures, pause_s
        self._failures, self._until_s = 0, 0.0

    @property
    def is_open(self) -> bool:
        """Whether the service is left alone, or only one request is let through to see whether it is back."""
        return bool(self._until_s)

    def check(self) -> None:
        """Return if a request may be sent.

        Raises:
            RemoteUnavailableError: The service is left alone for now.
        """
        if not self._until_s:
            return
        left_s = self._until_s - time.monotonic()
        if left_s > 0.0:
            msg = f"{self._name} did not answer and is left alone for {left_s:.1f} s more; nothing was sent"
            raise RemoteUnavailableError(msg, is_passing=True, retry_after_s=left_s)
        # This one tries; the others wait until it is known how that ends.
        self._until_s = time.monotonic() + self._pause_s

    def worked(self) -> None:
        """Note an answer."""
        self._failures, self._until_s = 0, 0.0

    def failed(self, *, wait_s: float | None) -> None:
        """Note a request without an answer.

        Args:
            wait_s: Seconds that the service asked to wait, if nobody has waited that long; None if it did not ask.
        """
        self._failures += 1
        if wait_s is not None:
            self._until_s = time.monotonic() + min(wait_s, _LONGEST_PAUSE_S)
        elif self._failures >= self._most:
            self._until_s = time.monotonic() + self._pause_s
