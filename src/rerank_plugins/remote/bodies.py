"""Bodies of answers, up to the size that is allowed."""

from __future__ import annotations

from rerank_plugins.errors import RemoteError

__all__ = ["BodyReader"]


class BodyReader:
    """Puts the body of an answer together.

    Args:
        most_bytes: Bytes of the body at most, decompressed.
        host: The server's name, for messages.
    """

    def __init__(self, *, most_bytes: int, host: str) -> None:
        self._host, self._most, self._n_bytes = host, most_bytes, 0
        self._parts: list[bytes] = []

    def add(self, part: bytes) -> None:
        """Take the next piece.

        Raises:
            RemoteError: There are more bytes than are allowed.
        """
        self._n_bytes += len(part)
        if self._n_bytes > self._most:
            msg = f"{self._host} answers with more than {self._most} bytes; it is not read"
            raise RemoteError(msg)
        self._parts.append(part)

    def whole(self) -> bytes:
        """Return the body; what is missing of it shows when it is read."""
        return b"".join(self._parts)
