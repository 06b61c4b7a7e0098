"""An HTTP client for JSON: a key of the environment, time-outs, retries, deadlines; sync and async.

The attempts of a request are written once, as a generator, and run in a thread or on an event loop.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import threading
import time
from collections.abc import AsyncGenerator, Generator, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from rerank_plugins.checks.arguments import checked_call
from rerank_plugins.checks.optional import import_extra
from rerank_plugins.engine import forking
from rerank_plugins.engine.deadline import Deadline
from rerank_plugins.errors import EngineClosedError, RemoteError
from rerank_plugins.remote.clients import new_client
from rerank_plugins.remote.replies import Reply, json_of, redirected, refusal_of
from rerank_plugins.remote.settings import HttpSettings, checked_url, key_of

__all__ = ["HttpClient"]

logger = logging.getLogger(__name__)

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 8.0
_MOST_REDIRECTS = 3


@dataclass(frozen=True, slots=True, eq=False)
class _Send:
    """A request that is to be sent."""

    url: str
    body: bytes
    headers: Mapping[str, str]
    timeout_s: float


@dataclass(frozen=True, slots=True)
class _Pause:
    """Seconds until the next attempt."""

    seconds: float


_Attempts = Generator["_Send | _Pause", "Reply | RemoteError | None", Any]


class HttpClient:
    """Sends JSON to one server and gives its JSON back. Safe from any number of threads and event loops.

    The key is read from the environment at each request: no attribute, log line, pickle or error holds it. Redirects
    are followed within the server only. A pickle, or a copy, holds the settings and makes connections of its own.

    Args:
        base_url: Address of the server, with the beginning of its paths (``https://api.openai.com/v1``).
        key_env: Environment variable that holds the key; None sends none.
        key_header: Header that the key goes into.
        key_prefix: What stands in front of the key there.
        settings: Time-outs, retries and sizes; None takes the defaults.

    Raises:
        InvalidInputError: ``base_url`` is no address, or holds a user or a query.
    """

    @checked_call()
    def __init__(
        self,
        base_url: str,
        *,
        key_env: str | None = None,
        key_header: str = "Authorization",
        key_prefix: str = "Bearer ",
        settings: HttpSettings | None = None,
    ) -> None:
        self.base_url = checked_url(base_url)
        self.key_env, self._key_header, self._key_prefix = key_env, key_header, key_prefix
        self.settings = settings or HttpSettings()
        self._is_closed = False
        self._client: Any = None
        self._making = threading.Lock()
        self._of_loops: dict[Any, tuple[Any, AsyncGenerator[Any, None]]] = {}
        forking.watch(self)

    @property
    def host(self) -> str:
        """The server's name, for people."""
        return urlsplit(self.base_url).netloc

    def post(self, path: str, body: Mapping[str, Any], *, deadline: Deadline | None = None) -> Any:
        """Return the JSON that a server answers with.

        Args:
            path: Behind ``base_url``, beginning with a slash.
            body: What is sent, as JSON; lone surrogates become question marks.
            deadline: When the call gives up, attempts and waits together; None never does.

        Raises:
            RemoteError: There is no answer, or it is an error; what may pass has been tried again.
            DeadlineExceededError: The time is over, or the server asks to wait for longer than is left.
            InvalidInputError: The environment variable of the key is not set.
            EngineClosedError: ``close()`` was called.
            MissingExtraError: httpx is not installed.
        """
        attempts, taken = self._attempts(path, body, deadline or Deadline(None)), None
        while True:
            try:
                step = attempts.send(taken)
            except StopIteration as end:
                return end.value
            if isinstance(step, _Pause):
                time.sleep(step.seconds)
                taken = None
            else:
                taken = self._sent(step)

    async def apost(self, path: str, body: Mapping[str, Any], *, deadline: Deadline | None = None) -> Any:
        """Return what :meth:`post` returns, without blocking the event loop; a cancelled task drops the request."""
        attempts, taken = self._attempts(path, body, deadline or Deadline(None)), None
        while True:
            try:
                step = attempts.send(taken)
            except StopIteration as end:
                return end.value
            if isinstance(step, _Pause):
                await asyncio.sleep(step.seconds)
                taken = None
            else:
                taken = await self._asent(step)

    def close(self) -> None:
        """Close the connections; those of an event loop close when the loop ends. Idempotent."""
        self._is_closed = True
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def after_fork(self) -> None:
        """Forget the connections of the process that this one was forked from."""
        self._client, self._of_loops = None, {}
        self._making = threading.Lock()

    def __repr__(self) -> str:
        return f"HttpClient({self.base_url!r}, key_env={self.key_env!r})"

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in ("_client", "_of_loops", "_making")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self.after_fork()
        forking.watch(self)

    def _attempts(self, path: str, body: Mapping[str, Any], deadline: Deadline) -> _Attempts:
        if self._is_closed:
            msg = f"the client of {self.host} was closed; make another one"
            raise EngineClosedError(msg)
        key, settings = key_of(self.key_env), self.settings
        content = json.dumps(body, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace")
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if key:
            headers[self._key_header] = self._key_prefix + key
        for number in range(settings.retries + 1):
            try:
                return json_of(
                    (yield from self._exchange(_Send(self.base_url + path, content, headers, 0.0), key, deadline))
                )
            except RemoteError as error:
                wait_s = _pause_s(number) if error.retry_after_s is None else error.retry_after_s
                if not error.is_passing or number == settings.retries or wait_s > settings.longest_wait_s:
                    raise
                deadline.needs(wait_s)
                # Names and numbers only: a server may repeat texts in its error.
                logger.debug(
                    "%s: attempt %d failed (HTTP %s), again in %.1f s", self.host, number, error.status, wait_s
                )
                yield _Pause(wait_s)
        return None

    def _exchange(
        self, send: _Send, key: str, deadline: Deadline
    ) -> Generator[_Send | _Pause, Reply | RemoteError | None, Reply]:
        """Send a request, and on where the server says so, and return the answer of a success."""
        for _ in range(_MOST_REDIRECTS + 1):
            deadline.check()
            remaining_s, limit_s = deadline.remaining_s(), self.settings.timeout_s
            reply = yield replace(send, timeout_s=limit_s if remaining_s is None else min(limit_s, remaining_s))
            deadline.check()
            if not isinstance(reply, Reply):
                raise reply or RemoteError(f"{self.host} was not asked")
            target = redirected(reply)
            if target is None:
                error = refusal_of(reply, secret=key)
                if error is not None:
                    raise error
                return reply
            send = replace(send, url=target)
        msg = f"{self.host} redirected the request {_MOST_REDIRECTS + 1} times; check base_url"
        raise RemoteError(msg)

    def _sent(self, send: _Send) -> Reply | RemoteError:
        httpx, started_s = import_extra("httpx", extra="remote"), time.perf_counter()
        try:
            with self._making:
                if self._client is None:
                    # One for all threads: they share its connections.
                    self._client = new_client("Client")
                client = self._client
            with client.stream(
                "POST", send.url, content=send.body, headers=send.headers, timeout=self._timeout(httpx, send)
            ) as response:
                parts, n_bytes = [], 0
                for part in response.iter_bytes():
                    parts.append(part)
                    n_bytes += len(part)
                    self._check_size(n_bytes)
                    if time.perf_counter() - started_s > send.timeout_s:
                        return self._late(send)
                return _reply(response, b"".join(parts), send)
        except (httpx.HTTPError, httpx.InvalidURL, OSError, RemoteError) as error:
            return self._failure(httpx, error, send)

    async def _asent(self, send: _Send) -> Reply | RemoteError:
        httpx = import_extra("httpx", extra="remote")
        try:
            return await asyncio.wait_for(self._astreamed(httpx, send), send.timeout_s)
        except asyncio.TimeoutError:
            return self._late(send)
        except (httpx.HTTPError, httpx.InvalidURL, OSError, RemoteError) as error:
            return self._failure(httpx, error, send)

    async def _astreamed(self, httpx: Any, send: _Send) -> Reply:
        client = await self._client_of_loop()
        async with client.stream(
            "POST", send.url, content=send.body, headers=send.headers, timeout=self._timeout(httpx, send)
        ) as response:
            parts, n_bytes = [], 0
            async for part in response.aiter_bytes():
                parts.append(part)
                n_bytes += len(part)
                self._check_size(n_bytes)
            return _reply(response, b"".join(parts), send)

    async def _client_of_loop(self) -> Any:
        """Return the client of the running event loop, which is closed when the loop ends."""
        loop = asyncio.get_running_loop()
        if loop not in self._of_loops:
            for one in [one for one in list(self._of_loops) if one.is_closed()]:
                self._of_loops.pop(one, None)
            # Entering a client waits for nothing, so that no other task comes between. asyncio.run closes the
            # generators that its loop has seen: the one moment when a client can be closed.
            keeper = _kept()
            self._of_loops[loop] = (await keeper.__anext__(), keeper)
        return self._of_loops[loop][0]

    def _timeout(self, httpx: Any, send: _Send) -> Any:
        return httpx.Timeout(send.timeout_s, connect=min(self.settings.connect_timeout_s, send.timeout_s))

    def _check_size(self, n_bytes: int) -> None:
        if n_bytes > self.settings.largest_answer_bytes:
            msg = f"{self.host} answers with more than {self.settings.largest_answer_bytes} bytes; it is not read"
            raise RemoteError(msg)

    def _late(self, send: _Send) -> RemoteError:
        return RemoteError(f"{self.host} did not answer within {send.timeout_s:.3g} s", is_passing=True)

    def _failure(self, httpx: Any, error: Exception, send: _Send) -> RemoteError:
        """Return what a failed attempt means; the texts of a transport's errors hold no key and no body."""
        if isinstance(error, RemoteError):
            return error
        if isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.InvalidURL, httpx.UnsupportedProtocol)):
            msg = f"{self.host} cannot be reached ({type(error).__name__}: {error}); check base_url and the network"
            return RemoteError(msg, is_passing=isinstance(error, httpx.TransportError), is_reached=False)
        if isinstance(error, httpx.TimeoutException):
            return self._late(send)
        return RemoteError(f"{self.host} broke off its answer ({type(error).__name__})", is_passing=True)


async def _kept() -> AsyncGenerator[Any, None]:
    async with new_client("AsyncClient") as client:
        yield client


def _reply(response: Any, body: bytes, send: _Send) -> Reply:
    headers = {str(name).lower(): str(value) for name, value in response.headers.items()}
    return Reply(int(response.status_code), headers, body, send.url)


def _pause_s(number: int) -> float:
    """Return the pause behind an attempt: it doubles, and jitter keeps callers apart that failed together."""
    return min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0**number) * random.uniform(0.5, 1.0)  # noqa: S311 - no secret
