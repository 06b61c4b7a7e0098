"""NVIDIA NIM: objects for query and passages, logits for scores."""

from __future__ import annotations

from typing import Any

from rerank_plugins.serving.dialects.base import STRICT, Dialect, Endpoint, Hints, token_usage
from rerank_plugins.serving.fields import Fields
from rerank_plugins.serving.outcomes import Ranked
from rerank_plugins.serving.refusals import Refusal
from rerank_plugins.serving.requests import RerankRequest

__all__ = ["NVIDIA", "RANKING"]


def _error(refusal: Refusal, status: int, request_id: str) -> dict[str, Any]:
    return {"error": refusal.message, "detail": refusal.message, "status": status, "requestId": request_id}


NVIDIA = Dialect(name="nvidia", error=_error, statuses=STRICT)


def _read(fields: Fields, hints: Hints) -> RerankRequest:
    passages = []
    for index, item in enumerate(fields.objects("passages")):
        name = f"passages[{index}]"
        if not isinstance(item, dict):
            raise fields.wrong(name, "an object with a text", item)
        passages.append(Fields(item, within=name).text("text"))
    return RerankRequest(
        model=hints.path_model or fields.optional_text("model"),
        query=fields.section("query").text("text"),
        documents=passages,
        # LiteLLM and RAGFlow send what NIM does not know.
        top_n=fields.count("top_n") or fields.count("top_k"),
        raw=True,
        whole=fields.choice("truncate", ("NONE", "END"), default="END") == "NONE",
    )


def _answer(_request: RerankRequest, ranked: Ranked) -> dict[str, Any]:
    rankings = [{"index": one.index, "logit": one.score} for one in ranked.documents]
    return {"rankings": rankings, "usage": token_usage(ranked.costs)}


RANKING = Endpoint(dialect=NVIDIA, read=_read, answer=_answer)
