"""The ASGI application: one gate for every request, then the table of routes, then the facades.

It has no web framework: forty routes are rows of a table, every dialect has error bodies of its own, and bytes, time
and callers who hang up are watched on the raw messages of ASGI, where a framework would have read the body already.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from rerank_plugins.errors import RerankPluginsError
from rerank_plugins.serving.dialects.base import Dialect, Hints
from rerank_plugins.serving.exchange import (
    ClientDisconnected,
    Exchange,
    HeldBytes,
    Receive,
    Reply,
    Scope,
    Send,
    json_reply,
    parsed,
)
from rerank_plugins.serving.facts import Facts
from rerank_plugins.serving.fields import Fields
from rerank_plugins.serving.guard import OPEN_PATHS, Guard
from rerank_plugins.serving.metrics import ServerMetrics
from rerank_plugins.serving.models import ModelStore
from rerank_plugins.serving.outcomes import Costs, Outcome
from rerank_plugins.serving.page import PAGE_LABEL, Page
from rerank_plugins.serving.refusals import Refusal, refusal_of
from rerank_plugins.serving.requests import ExplainRequest, PairsRequest, Request, RerankRequest
from rerank_plugins.serving.routing import UNSURE, Route, find_route
from rerank_plugins.serving.running import Arrival, Runner
from rerank_plugins.serving.settings import ServeSettings
from rerank_plugins.serving.tracing import RequestSpans

__all__ = ["ServingApp", "serving_app"]

logger = logging.getLogger(__name__)
access = logging.getLogger("rerank_plugins.serving.access")

_TIMEOUT_HEADER = "x-request-timeout-ms"
_HUNG_UP = 499
_NO_ROUTE = "other"
_PROBES = OPEN_PATHS | {"/metrics"}
"""What comes every few seconds for ever; its lines are for DEBUG."""


@dataclass(slots=True)
class _RequestRecord:
    """What is known of a request so far, for its answer, the log and the metrics.

    Attributes:
        dialect: How errors look.
        route: Label of its path.
        n_items: Documents or texts.
        is_closing: Whether the connection ends with the answer.
    """

    dialect: Dialect = UNSURE
    route: str = _NO_ROUTE
    n_items: int = 0
    is_closing: bool = False


class ServingApp:
    """The server as an ASGI application. Every server of ASGI can run it, in one process and one event loop.

    Args:
        settings: What is served, and how.

    Raises:
        InvalidInputError: There is no model, or two have one name.
        MissingExtraError: A package of the extra ``serve`` is not installed.
    """

    def __init__(self, settings: ServeSettings) -> None:
        self._settings = settings
        self._store = ModelStore(settings)
        self._facts = Facts(self._store, settings)
        self._runner = Runner(self._store, settings.limits)
        self._guard, self._held = Guard(settings), HeldBytes(settings.limits.max_held_bytes)
        self._page = Page(is_on=settings.page)
        self._metrics = ServerMetrics()
        self._spans = RequestSpans() if settings.trace else None

    async def load(self) -> None:
        """Open the models; requests are answered with 503 until then.

        Raises:
            RerankPluginsError: One cannot be opened.
        """
        await self._store.start()
        if self._facts.phase == "loading":
            self._facts.phase = "ready"

    @property
    def waiting_tokens(self) -> int:
        """Estimated tokens under way in all models."""
        return sum(served.admission.waiting_tokens for served in self._store)

    def drain(self) -> None:
        """Say that the server is about to end: ``/readyz`` is 503, and each answer closes its connection."""
        self._facts.phase = "draining"

    def close(self) -> None:
        """Give the models back."""
        self._metrics.close()
        if self._spans is not None:
            self._spans.close()
        self._store.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; see the ASGI specification."""
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})
        elif scope["type"] == "http":
            await self._exchange(Exchange(scope, receive, send, limits=self._settings.limits, held=self._held))

    async def _exchange(self, exchange: Exchange) -> None:
        record = _RequestRecord()
        self._metrics.in_flight.inc()
        status = _HUNG_UP
        spans, method = self._spans, exchange.method
        try:
            with nullcontext() if spans is None else spans.request(method, exchange.headers) as span:
                reply = await self._reply(exchange, record)
                status = reply.status
                if spans is not None:
                    spans.finish(span, method=method, route=record.route, status=status)
            closes = record.is_closing or self._facts.phase == "draining"
            await exchange.answer(reply, closes=closes, headers=self._cors(exchange))
        except (ClientDisconnected, asyncio.TimeoutError):
            status = _HUNG_UP
        finally:
            exchange.forget()
            self._metrics.in_flight.dec()
            self._log(exchange, record, status)

    async def _reply(self, exchange: Exchange, record: _RequestRecord) -> Reply:
        """Return the answer of a request, whatever happens, unless its caller hangs up."""
        try:
            return await self._answer(exchange, record)
        except ClientDisconnected:
            raise
        except Refusal as refusal:
            return self._refused(refusal, exchange, record)
        except RerankPluginsError as error:
            logger.error("request %s failed", exchange.request_id, exc_info=error)
            return self._refused(refusal_of(error), exchange, record)
        except Exception as error:
            # A mistake of ours: the caller gets an answer in its dialect, and the log what happened.
            logger.error("request %s met an error of the server", exchange.request_id, exc_info=error)
            return self._refused(Refusal("an error of the server; its log says more", kind="failed"), exchange, record)

    async def _answer(self, exchange: Exchange, record: _RequestRecord) -> Reply:
        if exchange.method == "OPTIONS" and self._cors(exchange):
            return _preflight()
        page = self._page.reply(exchange)
        if page is not None:
            record.route = PAGE_LABEL
            return page
        route = self._let_in(exchange, record)
        if route.choice is None:
            metrics = route.label == "/metrics"
            return self._metrics.page() if metrics else self._facts.reply(route.label, route.path_model)
        body = parsed(await exchange.body())
        endpoint = route.choice.choose(body, exchange.headers)
        record.dialect = endpoint.dialect
        request = endpoint.read(Fields(body), self._hints(route))
        record.n_items = _n_items(request)
        outcome = await exchange.unless_gone(self._runner.run(request, self._arrival(exchange)))
        return json_reply(endpoint.answer(request, outcome), headers=_cost_headers(outcome))

    def _let_in(self, exchange: Exchange, record: _RequestRecord) -> Route:
        """Return the route of a request that has a key; one without learns no more than that, in its dialect's words.

        Raises:
            Refusal: There is no key, no such path, or it takes another method.
        """
        try:
            route = find_route(exchange.method, exchange.path, pinned=self._settings.dialect)
        except Refusal:
            self._guard.check(exchange.path, exchange.headers)
            raise
        record.route = route.label
        if route.choice is not None:
            record.dialect = route.choice.dialect
        self._guard.check(exchange.path, exchange.headers)
        return route

    def _hints(self, route: Route) -> Hints:
        settings = self._settings
        return Hints(
            path_model=route.path_model, auto_truncate=settings.auto_truncate, openai_side=settings.openai_side
        )

    def _arrival(self, exchange: Exchange) -> Arrival:
        most_s = self._settings.limits.deadline_s
        timeout = exchange.headers.get(_TIMEOUT_HEADER, "")
        if timeout:
            if not (timeout.isascii() and timeout.isdigit() and 0 < len(timeout) < 12 and int(timeout)):
                msg = f"{_TIMEOUT_HEADER} must be a whole number of milliseconds from 1 to 99999999999"
                raise Refusal(msg, kind="invalid", param=_TIMEOUT_HEADER)
            most_s = min(most_s, int(timeout) / 1_000)
        return Arrival(request_id=exchange.request_id, started_s=exchange.started_s, deadline_s=most_s)

    def _refused(self, refusal: Refusal, exchange: Exchange, record: _RequestRecord) -> Reply:
        status = record.dialect.status(refusal)
        self._metrics.refused(refusal.kind)
        refusal.message = self._store.with_served_names(refusal.message)
        record.is_closing = record.is_closing or refusal.closes
        headers = {"allow": refusal.allow} if refusal.allow else {}
        if refusal.retry_after_s is not None:
            headers["retry-after"] = str(refusal.retry_after_s)
        if refusal.kind == "unauthorized":
            headers["www-authenticate"] = "Bearer"
            # The body may be on its way; nobody reads it.
            record.is_closing = exchange.method == "POST" or record.is_closing
        return json_reply(record.dialect.error(refusal, status, exchange.request_id), status=status, headers=headers)

    def _cors(self, exchange: Exchange) -> dict[str, str]:
        """Return the headers that let a page of an allowed origin read the answer."""
        origin = exchange.headers.get("origin", "")
        if origin not in self._settings.cors_origins:
            return {}
        return {"access-control-allow-origin": origin, "vary": "Origin"}

    def _log(self, exchange: Exchange, record: _RequestRecord, status: int) -> None:
        """Count and log a request that is over: numbers and words of tables, no text, no query string, no header."""
        seconds = time.perf_counter() - exchange.started_s
        self._metrics.answered(record.dialect.name, record.route, status, seconds=seconds, n_bytes=exchange.n_bytes)
        if record.n_items:
            self._metrics.documents(record.route, record.n_items)
        access.log(
            logging.DEBUG if record.route in _PROBES else logging.INFO,
            "%s %s %d %.1f ms, %d bytes, %d texts, %s, id %s",
            exchange.method if exchange.method.isalpha() else "?",
            record.route,
            status,
            1_000 * seconds,
            exchange.n_bytes,
            record.n_items,
            record.dialect.name,
            exchange.request_id,
        )


def serving_app(settings: ServeSettings) -> ServingApp:
    """Return the ASGI application; call its ``load`` before it answers anything but probes."""
    return ServingApp(settings)


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


def _preflight() -> Reply:
    allowed = {
        "access-control-allow-methods": "GET, POST",
        "access-control-allow-headers": f"authorization, content-type, x-api-key, x-request-id, {_TIMEOUT_HEADER}",
        "access-control-max-age": "600",
    }
    return Reply(status=204, body=b"", headers=allowed)


def _n_items(request: Request) -> int:
    if isinstance(request, RerankRequest):
        return len(request.documents)
    if isinstance(request, PairsRequest):
        return len(request.pairs)
    return 1 if isinstance(request, ExplainRequest) else len(request.texts)


def _cost_headers(outcome: Outcome) -> dict[str, str]:
    """Return what a request took in TEI's headers, in every dialect."""
    costs: Costs = outcome.costs
    found: dict[str, Any] = {
        "x-compute-characters": costs.characters,
        "x-compute-tokens": costs.tokens,
        "x-total-time": round(costs.total_ms),
    }
    if costs.usage is not None:
        found["x-tokenization-time"] = round(costs.usage.tokenize_ms)
        found["x-queue-time"] = round(costs.usage.queue_ms)
        found["x-inference-time"] = round(costs.usage.forward_ms)
    return {name: str(value) for name, value in found.items()}
