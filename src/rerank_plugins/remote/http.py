"""An HTTP client for JSON: a key of the environment, time-outs, retries, deadlines; sync and async.

The attempts of a request are written once, as a generator, and run in a thread or on an event loop.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from rerank_plugins.checks.arguments import checked_call
from rerank_plugins.engine import forking
from rerank_plugins.engine.deadline import Deadline
from rerank_plugins.errors import EngineClosedError, RemoteError
from rerank_plugins.remote.in_threads import ThreadSender
from rerank_plugins.remote.on_loops import TaskSender
from rerank_plugins.remote.replies import Reply, json_of, redirected, refusal_of
from rerank_plugins.remote.sending import Send, late
from rerank_plugins.remote.settings import HttpSettings, checked_url, key_of

__all__ = ["HttpClient"]

logger = logging.getLogger(__name__)

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 8.0
_MOST_REDIRECTS = 3


@dataclass(frozen=True, slots=True)
class _Pause:
    """Seconds until the next attempt."""

    seconds: float


_Attempts = Generator["Send | _Pause", "Reply | RemoteError | None", Any]


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
        self.after_fork()
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
                taken = self._threads.send(step)

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
                taken = await self._tasks.send(step)

    def close(self) -> None:
        """Close the connections; those of an event loop close when the loop ends. Idempotent."""
        self._is_closed = True
        self._threads.close()

    def after_fork(self) -> None:
        """Forget the connections of the process that this one was forked from."""
        self._threads, self._tasks = ThreadSender(), TaskSender()

    def __repr__(self) -> str:
        return f"HttpClient({self.base_url!r}, key_env={self.key_env!r})"

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in ("_threads", "_tasks")}

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
        send = Send(
            host=self.host,
            url=self.base_url + path,
            body=content,
            headers=headers,
            timeout_s=0.0,
            attempt_s=0.0,
            settings=settings,
        )
        for number in range(settings.retries + 1):
            try:
                return json_of((yield from self._exchange(send, key, deadline)))
            except RemoteError as error:
                # A pause of one's own is cut to the limit; one that the server asks for is not.
                pause_s = min(_pause_s(number), settings.longest_wait_s)
                wait_s = pause_s if error.retry_after_s is None else error.retry_after_s
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
        self, send: Send, key: str, deadline: Deadline
    ) -> Generator[Send | _Pause, Reply | RemoteError | None, Reply]:
        """Send a request, and on where the server says so, and return the answer of a success."""
        remaining_s, limit_s = deadline.left_s(), self.settings.timeout_s
        send = replace(send, attempt_s=limit_s if remaining_s is None else min(limit_s, remaining_s))
        started_s = time.perf_counter()
        for _ in range(_MOST_REDIRECTS + 1):
            left_s = send.attempt_s - (time.perf_counter() - started_s)
            reply = (yield replace(send, timeout_s=left_s)) if left_s > 0.0 else late(send)
            deadline.check()
            if not isinstance(reply, Reply):
                raise reply or RemoteError(f"{self.host} was not asked")
            target = redirected(reply, secret=key)
            if target is None:
                error = refusal_of(reply, secret=key)
                if error is not None:
                    raise error
                return reply
            send = replace(send, url=target)
        msg = f"{self.host} redirected the request {_MOST_REDIRECTS + 1} times; check base_url"
        raise RemoteError(msg)


def _pause_s(number: int) -> float:
    """Return the pause behind an attempt: it doubles, and jitter keeps callers apart that failed together."""
    return min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0**number) * random.uniform(0.5, 1.0)  # noqa: S311 - no secret
