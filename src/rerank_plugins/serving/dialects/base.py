"""What a dialect is: names and statuses as data, and two functions for each endpoint."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NoReturn

from rerank_plugins.serving.fields import Fields
from rerank_plugins.serving.outcomes import Costs
from rerank_plugins.serving.refusals import STATUSES, Kind, Refusal
from rerank_plugins.serving.requests import Request

__all__ = [
    "STRICT",
    "Dialect",
    "Endpoint",
    "Hints",
    "detail_error",
    "dropped_nulls",
    "openai_error",
    "refuse_lost_start",
    "token_usage",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hints:
    """What a body is read with besides its fields.

    Attributes:
        path_model: The model in the path; None if there is none.
        auto_truncate: Whether a text that does not fit is cut where the body does not say.
        openai_side: What is embedded where the body does not say.
    """

    path_model: str | None = None
    auto_truncate: bool = True
    openai_side: str = "document"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """How one family of clients is answered.

    Attributes:
        name: In metrics and logs.
        error: Makes the body of an error of the refusal, its status and the request's id.
        statuses: Statuses that differ from the usual ones.
    """

    name: str
    error: Callable[[Refusal, int, str], Any]
    statuses: Mapping[Kind, int] = field(default_factory=lambda: MappingProxyType({}))

    def status(self, refusal: Refusal) -> int:
        """Return the HTTP status of a refusal."""
        return self.statuses.get(refusal.kind, STATUSES[refusal.kind])


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One thing that can be asked in one dialect.

    Attributes:
        dialect: How errors look.
        read: Makes a request of a body; raises Refusal.
        answer: Makes an answer of the request and its outcome.
    """

    dialect: Dialect
    read: Callable[[Fields, Hints], Request]
    answer: Callable[[Any, Any], Any]


STRICT: Mapping[Kind, int] = MappingProxyType({"invalid": 422, "empty": 422, "too_many": 422})
"""Statuses of FastAPI and of those who copy it: whatever is wrong with a field is 422."""


def refuse_lost_start(name: str, value: str) -> NoReturn:
    """Refuse a request whose long texts shall lose their beginning: here they lose their end."""
    msg = f"{name} {value} is not supported: a long text loses its end"
    raise Refusal(msg, kind="invalid", param=name)


def detail_error(refusal: Refusal, _status: int, request_id: str) -> dict[str, Any]:
    """Return the error body of FastAPI and of those who copy it; clients of Jina read ``detail`` and nothing else."""
    return {"detail": refusal.message, "request_id": request_id}


def openai_error(refusal: Refusal, status: int, _request_id: str) -> dict[str, Any]:
    """Return the error body of OpenAI, vLLM and infinity."""
    kind = "rate_limit_error" if status == 429 else "server_error" if status >= 500 else "invalid_request_error"
    code = {"unauthorized": "invalid_api_key", "unknown_model": "model_not_found"}.get(refusal.kind, status)
    return {"error": {"message": refusal.message, "type": kind, "param": refusal.param, "code": code}}


def dropped_nulls(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members that are there: strict clients refuse a null where a field may be missing."""
    return {name: value for name, value in values.items() if value is not None}


def token_usage(costs: Costs) -> dict[str, int]:
    """Return the tokens in OpenAI's words."""
    return {"prompt_tokens": costs.tokens, "total_tokens": costs.tokens}
