"""What no dialect has: which words of a document carried its score."""

from __future__ import annotations

from typing import Any

from rerank_plugins.calls.explaining import TokenExplanation
from rerank_plugins.serving.dialects.base import STRICT, Dialect, Endpoint, Hints, detail_error, token_usage
from rerank_plugins.serving.dialects.reranking import instruction_of
from rerank_plugins.serving.fields import Fields
from rerank_plugins.serving.outcomes import Explained
from rerank_plugins.serving.refusals import Refusal
from rerank_plugins.serving.requests import ExplainRequest, Reading

__all__ = ["EXPLAIN", "OWN"]

OWN = Dialect(name="own", error=detail_error, statuses=STRICT)
_SPANS, _MOST_SPANS = 64, 256
_LONGEST = 200_000
"""Characters of a document: its words are found at once, on the loop that answers everybody."""


def _read(fields: Fields, _hints: Hints) -> ExplainRequest:
    spans = fields.count("max_spans", lowest=2) or _SPANS
    if spans > _MOST_SPANS:
        msg = f"max_spans must be at most {_MOST_SPANS}"
        raise Refusal(msg, kind="invalid", param="max_spans")
    document = fields.text("document")
    if len(document) > _LONGEST:
        msg = f"document must have at most {_LONGEST} characters to be explained; send the part that counts"
        raise Refusal(msg, kind="invalid", param="document")
    chunks = fields.count("max_chunks_per_doc")
    return ExplainRequest(
        model=fields.optional_text("model"),
        query=fields.text("query"),
        document=document,
        max_spans=spans,
        reading=Reading(
            instruction=instruction_of(fields, "instruction"), windows=None if chunks is None else chunks > 1
        ),
    )


def _answer(_request: ExplainRequest, found: Explained) -> dict[str, Any]:
    explanation = found.explanation
    window = explanation.window
    return {
        "id": found.costs.request_id,
        "model": found.costs.model,
        "method": "matches" if isinstance(explanation, TokenExplanation) else "occlusion",
        "relevance_score": found.probability,
        "raw_score": explanation.score,
        "window": None if window is None else {"start": window.start, "end": window.end},
        "spans": [{"start": one.start, "end": one.end, "drop": one.drop} for one in explanation.spans],
        "usage": token_usage(found.costs),
    }


EXPLAIN = Endpoint(dialect=OWN, read=_read, answer=_answer)
