"""DashScope: its own shape with ``input`` and ``parameters``, and the one like Jina's."""

from __future__ import annotations

from typing import Any

from rerank_plugins.serving.dialects import jina
from rerank_plugins.serving.dialects.base import Dialect, Endpoint, Hints
from rerank_plugins.serving.dialects.reranking import Keys, instruction_of, results_of
from rerank_plugins.serving.fields import Fields
from rerank_plugins.serving.outcomes import Ranked
from rerank_plugins.serving.refusals import Refusal
from rerank_plugins.serving.requests import Reading, RerankRequest

__all__ = ["DASHSCOPE", "RERANK", "RERANKS"]

_CODES = {401: "InvalidApiKey", 404: "ModelNotFound", 429: "Throttling.RateQuota", 408: "RequestTimeOut"}


def _error(refusal: Refusal, status: int, request_id: str) -> dict[str, Any]:
    default = "InternalError" if status >= 500 else "InvalidParameter"
    return {"code": _CODES.get(status, default), "message": refusal.message, "request_id": request_id}


DASHSCOPE = Dialect(name="dashscope", error=_error)
_FLAT = Keys()


def _read(fields: Fields, _hints: Hints) -> RerankRequest:
    inputs, parameters = fields.section("input"), fields.section("parameters", needed=False)
    documents = inputs.texts("documents")
    return RerankRequest(
        model=fields.optional_text("model"),
        query=inputs.text("query"),
        documents=documents,
        originals=documents,
        top_n=parameters.count("top_n"),
        returns_documents=parameters.flag("return_documents", default=False),
        reading=Reading(instruction=instruction_of(parameters, "instruct")),
    )


def _answer(request: RerankRequest, ranked: Ranked) -> dict[str, Any]:
    costs = ranked.costs
    usage = {"total_tokens": costs.tokens}
    return {"output": {"results": results_of(request, ranked)}, "usage": usage, "request_id": costs.request_id}


def _read_flat(fields: Fields, _hints: Hints) -> RerankRequest:
    return _FLAT.read(fields, reading=Reading(instruction=instruction_of(fields, "instruct")))


RERANK = Endpoint(dialect=DASHSCOPE, read=_read, answer=_answer)
RERANKS = Endpoint(dialect=DASHSCOPE, read=_read_flat, answer=jina.answer)
