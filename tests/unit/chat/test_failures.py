"""Which failures of a call pass, by the errors of clients that nobody here imports."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from rerank_plugins.chat.failures import passes


def named(name: str, **facts: Any) -> Exception:
    error: Exception = type(name, (Exception,), {})("x")
    for key, value in facts.items():
        setattr(error, key, value)
    return error


def answered(status: int) -> SimpleNamespace:
    return SimpleNamespace(status_code=status)


STATUSES: list[Callable[[int], Exception]] = [
    lambda status: named("APIStatusError", status_code=status),
    lambda status: named("HTTPStatusError", response=answered(status)),
    lambda status: named("ClientError", code=status),
    lambda status: named("ClientError", response={"ResponseMetadata": {"HTTPStatusCode": status}}),
]


@pytest.mark.parametrize("made", STATUSES, ids=["openai", "httpx, requests", "google", "aws"])
@pytest.mark.parametrize(
    ("status", "expected"),
    [(408, True), (429, True), (500, True), (503, True), (400, False), (401, False), (404, False)],
)
def test_a_status_wherever_a_client_tells_it(made: Callable[[int], Exception], status: int, *, expected: bool) -> None:
    assert passes(made(status)) is expected
    wrapped = named("ChatError")
    wrapped.__cause__ = made(status)
    assert passes(wrapped) is expected


@pytest.mark.parametrize(
    "error",
    [
        TimeoutError(),
        ConnectionResetError(),
        ConnectionAbortedError(),
        BrokenPipeError(),
        named("ReadError"),
        named("RemoteProtocolError"),
        named("ServerDisconnectedError"),
        named("ReadTimeout"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_connection_that_breaks_passes(error: Exception) -> None:
    assert passes(error)
    # requests and openai raise an error of their own while they handle it.
    outer = named("APIConnectionError")
    outer.__context__ = error
    assert passes(outer)


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError(),
        named("ConnectError"),
        ZeroDivisionError(),
        named("PromptReadError"),
        named("Coded", code="rate_limit_exceeded"),
        named("Coded", code=7),
        named("Coded", response="429"),
    ],
    ids=str,
)
def test_a_mistake_or_a_fault_does_not_pass(error: Exception) -> None:
    assert not passes(error)


def test_an_error_that_is_its_own_cause_is_looked_at_once() -> None:
    error = named("Circular")
    error.__cause__ = error
    assert not passes(error)
