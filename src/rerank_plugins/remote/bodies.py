"""Bodies of answers: decompressed piece by piece, so that few bytes never become more than are allowed."""

from __future__ import annotations

import zlib
from typing import Any

from rerank_plugins.errors import RemoteError

__all__ = ["ACCEPTED", "AnswerTooLargeError", "BodyReader"]

ACCEPTED = "gzip, deflate"
"""Encodings that are asked for. Others shrink gigabytes to a few bytes, and httpx undoes a piece of them at once."""

_FORMATS = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}
_BARE = -zlib.MAX_WBITS
_OTHERS = ("br", "zstd", "compress")
_BEGIN_OF_GZIP = b"\x1f"


class AnswerTooLargeError(RemoteError):
    """An answer has more bytes than are allowed; one to fewer texts may not have."""


class BodyReader:
    """Puts the body of an answer together.

    Args:
        encoding: The header ``Content-Encoding``; empty for none.
        most_bytes: Bytes of the body at most, decompressed.
        host: The server's name, for messages.

    Raises:
        RemoteError: It is compressed in a way that was not asked for.
    """

    def __init__(self, encoding: str, *, most_bytes: int, host: str) -> None:
        self._host, self._most, self._n_bytes = host, most_bytes, 0
        self._parts: list[bytes] = []
        self._kind = _kind_of(encoding, host)
        self._decoder: Any = zlib.decompressobj(_FORMATS[self._kind]) if self._kind else None

    def add(self, part: bytes) -> None:
        """Take the next piece.

        Raises:
            AnswerTooLargeError: There are more bytes than are allowed.
            RemoteError: They are not compressed as the header says.
        """
        if self._decoder is None:
            self._keep(part)
            return
        try:
            self._inflate(part)
        except zlib.error as error:
            msg = f"{self._host} answers with what is no {self._kind}, as its header says ({error})"
            raise RemoteError(msg, is_passing=True) from error

    def whole(self) -> bytes:
        """Return the body; what is missing of it shows when it is read."""
        return b"".join(self._parts)

    def _inflate(self, part: bytes) -> None:
        while part:
            if self._decoder.eof:
                if self._kind != "gzip" or not part.startswith(_BEGIN_OF_GZIP):
                    return
                # A file of gzip may be several, one behind the other (RFC 1952, 2.2).
                self._decoder = zlib.decompressobj(_FORMATS["gzip"])
            # One byte more than is left says that it is too much.
            self._keep(self._decompressed(part, self._most - self._n_bytes + 1))
            part = self._decoder.unused_data

    def _decompressed(self, part: bytes, most: int) -> bytes:
        try:
            found: bytes = self._decoder.decompress(part, most)
        except zlib.error:
            if self._kind != "deflate" or self._parts:
                raise
            # Some servers leave out the frame that the standard asks for, as browsers and httpx know.
            self._decoder = zlib.decompressobj(_BARE)
            found = self._decoder.decompress(part, most)
        return found

    def _keep(self, part: bytes) -> None:
        self._n_bytes += len(part)
        if self._n_bytes > self._most:
            msg = (
                f"{self._host} answers with more than {self._most} bytes, which are not read; "
                "HttpSettings(largest_answer_bytes=...) allows more"
            )
            raise AnswerTooLargeError(msg)
        self._parts.append(part)


def _kind_of(encoding: str, host: str) -> str:
    """Return ``gzip``, ``deflate``, or an empty text: what else servers write there, such as utf-8, says nothing."""
    names = [name.strip().lower().removeprefix("x-") for name in encoding.split(",")]
    ours = [name for name in names if name in _FORMATS]
    if len(ours) > 1 or any(name in _OTHERS for name in names):
        msg = f"{host} answers compressed by {encoding[:40]!r}; one of {ACCEPTED} was asked for, and this is not read"
        raise RemoteError(msg)
    return ours[0] if ours else ""
