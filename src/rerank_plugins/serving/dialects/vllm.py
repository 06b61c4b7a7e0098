"""vLLM: ``/rerank`` and ``/score``."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from rerank_plugins.serving.dialects.base import Dialect, Endpoint, Hints, openai_error, refuse_lost_start, token_usage
from rerank_plugins.serving.dialects.reranking import Keys, instruction_of, results_of, usages_of
from rerank_plugins.serving.fields import Fields
from rerank_plugins.serving.outcomes import Ranked, Scored
from rerank_plugins.serving.refusals import Refusal
from rerank_plugins.serving.requests import PairsRequest, Reading, RerankRequest

__all__ = ["OWN_KEYS", "RERANK", "SCORE", "VLLM"]

VLLM = Dialect(name="vllm", error=openai_error)
OWN_KEYS = (
    "activation",
    "max_tokens_per_doc",
    "max_tokens_per_query",
    "truncate_prompt_tokens",
    "truncation_side",
    "use_activation",
)
"""Keys of a body that no other dialect of ``documents`` reads."""

_KEYS = Keys(zero_is_all=True, returns_documents=True)
_SIDES = (("text_1", "text_2"), ("queries", "documents"), ("queries", "items"), ("data_1", "data_2"))


def _reading(fields: Fields) -> Reading:
    if fields.choice("truncation_side", ("right", "left"), default="right") == "left":
        refuse_lost_start("truncation_side", "left")
    length = fields.count("truncate_prompt_tokens", lowest=-1)
    return Reading(
        instruction=instruction_of(fields, "instruction"),
        max_length=length if length is not None and length > 0 else None,
        query_tokens=fields.count("max_tokens_per_query", lowest=0) or None,
        document_tokens=fields.count("max_tokens_per_doc", lowest=0) or None,
    )


def _is_raw(fields: Fields) -> bool:
    """Return whether logits are asked for; ``activation`` is the older name."""
    name = "activation" if "activation" in fields else "use_activation"
    return not fields.flag(name, default=True)


def _read(fields: Fields, _hints: Hints) -> RerankRequest:
    return replace(_KEYS.read(fields, reading=_reading(fields)), raw=_is_raw(fields))


def _answer(request: RerankRequest, ranked: Ranked) -> dict[str, Any]:
    results = results_of(request, ranked)
    for result in results:
        if isinstance(result.get("document"), dict):
            result["document"] = {"multi_modal": None, **result["document"]}
    head = {"id": f"score-{ranked.costs.request_id}", "object": "list", "model": ranked.costs.model}
    return {**head, "results": results, **usages_of(ranked.costs)}


def _read_score(fields: Fields, _hints: Hints) -> PairsRequest:
    left, right = next((pair for pair in _SIDES if pair[0] in fields and pair[1] in fields), _SIDES[0])
    first, second = fields.texts(left), fields.texts(right)
    if len(first) == 1:
        first = first * len(second)
    if len(first) != len(second):
        msg = f"{left} and {right} must be 1 and n, or n and n texts; got {len(first)} and {len(second)}"
        raise Refusal(msg, kind="invalid", param=left)
    return PairsRequest(
        model=fields.optional_text("model"),
        pairs=list(zip(first, second, strict=True)),
        raw=_is_raw(fields),
        reading=_reading(fields),
    )


def _answer_score(_request: PairsRequest, scored: Scored) -> dict[str, Any]:
    costs = scored.costs
    data = [{"index": index, "object": "score", "score": score} for index, score in enumerate(scored.scores)]
    head = {"id": f"score-{costs.request_id}", "object": "list", "created": costs.created_s, "model": costs.model}
    return {**head, "data": data, "usage": token_usage(costs)}


RERANK = Endpoint(dialect=VLLM, read=_read, answer=_answer)
SCORE = Endpoint(dialect=VLLM, read=_read_score, answer=_answer_score)
