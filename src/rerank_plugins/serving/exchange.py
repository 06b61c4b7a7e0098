"""One HTTP exchange over ASGI: reading the body within limits, noticing a caller who has gone, answering once."""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, MutableMapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

import orjson

from rerank_plugins.serving.refusals import Refusal
from rerank_plugins.serving.settings import Limits

__all__ = ["ClientDisconnected", "Exchange", "HeldBytes", "Receive", "Reply", "Scope", "Send", "json_reply", "parsed"]

T = TypeVar("T")

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_NO_ID = re.compile(r"[^A-Za-z0-9._-]")
_TEXT = re.compile(rb'"[^"]*"?')
_LONGEST_ID = 64
_MOST_ELEMENTS = 1_000_000
"""Members of lists and objects in a body, counted by commas: a million empty documents are 3 MB and no use."""

_WITHOUT_LENGTH = (204, 304)
"""Statuses of answers that have no body by RFC 9110 (8.6), and no length of one."""

_DRAINED_BODIES = 16
"""How much of a body that is too large is read and thrown away, so that its sender sees the answer, in limits."""


class ClientDisconnected(Exception):
    """The caller has closed the connection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What is sent back."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


def json_reply(value: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    """Return a reply of a value as JSON; NumPy arrays are lists."""
    body = orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)
    return Reply(status=status, body=body, headers=headers or {})


def parsed(body: bytes) -> dict[str, Any]:
    """Return the object of a body.

    Raises:
        Refusal: It is no JSON object: broken, no UTF-8, with NaN, nested too deeply, or with too many members.
    """
    if body.count(b",") > _MOST_ELEMENTS and _commas_between_members(body) > _MOST_ELEMENTS:
        msg = f"the body has more than {_MOST_ELEMENTS} members"
        raise Refusal(msg, kind="too_large")
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        # Its message names a place and a rule; ``doc`` holds the text, and is left out.
        msg = f"the body is no valid JSON: {error.msg} at byte {error.pos}"
        raise Refusal(msg, kind="malformed") from None
    if not isinstance(value, dict):
        msg = "the body must be a JSON object"
        raise Refusal(msg, kind="malformed")
    return value


def _commas_between_members(body: bytes) -> int:
    """Return how many commas there are outside of texts: a table of numbers is a text with many."""
    bare = body.replace(rb"\\", b"").replace(rb"\"", b"")
    return _TEXT.sub(b"", bare).count(b",")


class HeldBytes:
    """Counts the bytes of all bodies that are in memory.

    Args:
        most: A body that would make it more is refused, unless there is no other.
    """

    def __init__(self, most: int) -> None:
        self._most, self._held = most, 0

    def add(self, n_bytes: int, *, own: int) -> None:
        """Count bytes.

        Args:
            n_bytes: How many more.
            own: How many of those that are held belong to the same body.

        Raises:
            Refusal: There are too many already, and others hold some of them.
        """
        if self._held + n_bytes > self._most and self._held > own:
            msg = "too many bodies are in memory; try again later"
            raise Refusal(msg, kind="overloaded", retry_after_s=1, closes=True)
        self._held += n_bytes

    def give_back(self, n_bytes: int) -> None:
        """Count bytes off again."""
        self._held -= n_bytes


class Exchange:
    """A request and the way back to its caller.

    Args:
        scope: ASGI's description of the request.
        receive: Gives the body's pieces.
        send: Takes the answer.
        limits: How much is read, and how long that may take.
        held: The bytes of all bodies.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send, *, limits: Limits, held: HeldBytes) -> None:
        self._receive, self._send = receive, send
        self._limits, self._held, self._n_held = limits, held, 0
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        offered = _NO_ID.sub("", self.headers.get("x-request-id", ""))[:_LONGEST_ID]
        self.request_id = offered or secrets.token_hex(12)
        self.started_s = time.perf_counter()
        self.n_bytes = 0

    async def body(self) -> bytes:
        """Return the whole body.

        Raises:
            Refusal: It is too long, too slow, or compressed.
            ClientDisconnected: The caller hung up.
        """
        if self.headers.get("content-encoding", "identity") != "identity":
            msg = "compressed bodies are not taken; send the body as it is"
            raise Refusal(msg, kind="encoded", closes=True)
        try:
            return await asyncio.wait_for(self._body(), self._limits.receive_s)
        except asyncio.TimeoutError:
            msg = f"the body was not here within {self._limits.receive_s:g} s"
            raise Refusal(msg, kind="slow", closes=True) from None

    async def unless_gone(self, work: Coroutine[Any, Any, T]) -> T:
        """Return what ``work`` gives; it is cancelled when the caller hangs up.

        Raises:
            ClientDisconnected: The caller hung up.
        """
        task, watch = asyncio.ensure_future(work), asyncio.ensure_future(self._until_gone())
        try:
            await asyncio.wait((task, watch), return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise ClientDisconnected
            return task.result()
        finally:
            watch.cancel()
            if not task.done():
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    async def answer(self, reply: Reply, *, closes: bool, headers: Mapping[str, str]) -> None:
        """Send a reply; a caller who does not take it in time loses the connection."""
        sent = {
            **headers,
            **reply.headers,
            "content-type": reply.content_type,
            "x-request-id": self.request_id,
        }
        if reply.status not in _WITHOUT_LENGTH:
            sent["content-length"] = str(len(reply.body))
        if closes:
            sent["connection"] = "close"
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in sent.items()]
        body = b"" if self.method == "HEAD" else reply.body
        await self._send({"type": "http.response.start", "status": reply.status, "headers": raw})
        await asyncio.wait_for(self._send({"type": "http.response.body", "body": body}), self._limits.send_s)

    def forget(self) -> None:
        """Count the body off; it is not needed any more."""
        self._held.give_back(self._n_held)
        self._n_held = 0

    async def _body(self) -> bytes:
        most = self._limits.max_body_bytes
        if self._announced() > most:
            await self._throw_away(0)
        pieces: list[bytes] = []
        async for piece in self._pieces():
            self.n_bytes += len(piece)
            if self.n_bytes > most:
                pieces.clear()
                await self._throw_away(self.n_bytes)
            self._held.add(len(piece), own=self._n_held)
            self._n_held += len(piece)
            pieces.append(piece)
        return b"".join(pieces)

    def _announced(self) -> int:
        length = self.headers.get("content-length", "")
        return int(length) if length.isascii() and length.isdigit() and len(length) < 19 else 0

    async def _throw_away(self, n_read: int) -> None:
        """Read on and keep nothing, so that the sender does not lose the answer to a reset connection; then refuse."""
        most = self._limits.max_body_bytes
        if "100-continue" not in self.headers.get("expect", "").lower():
            async for piece in self._pieces():
                n_read += len(piece)
                if n_read > _DRAINED_BODIES * most:
                    break
        msg = f"the body has more than {most} bytes; send fewer documents, or allow more with --max-body-bytes"
        raise Refusal(msg, kind="too_large", closes=True)

    async def _pieces(self) -> Any:
        more = True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnected
            yield message.get("body", b"")
            more = message.get("more_body", False)

    async def _until_gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
