"""Cohere, version 1 and 2 of its interface: reranking with relevant spans, and embedding."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

from rerank_plugins.serving.dialects.base import Dialect, Endpoint, Hints, dropped_nulls, refuse_lost_start
from rerank_plugins.serving.dialects.reranking import Keys, results_of
from rerank_plugins.serving.dialects.vectors import FORMATS, written
from rerank_plugins.serving.fields import Fields
from rerank_plugins.serving.outcomes import Costs, Embedded, Ranked
from rerank_plugins.serving.refusals import Refusal
from rerank_plugins.serving.requests import EmbedRequest, Reading, RerankRequest, Spans

__all__ = ["COHERE", "EMBED_V1", "EMBED_V2", "RERANK_V1", "RERANK_V2"]

_SPAN_THRESHOLD = 0.1
_SIDES = ("search_document", "search_query", "classification", "clustering", "image")
_TRUNCATE = ("END", "START", "NONE")


def _error(refusal: Refusal, _status: int, request_id: str) -> dict[str, Any]:
    return {"id": request_id, "message": refusal.message}


COHERE = Dialect(name="cohere", error=_error, statuses=MappingProxyType({"malformed": 400}))

_V1 = Keys()
_V2 = Keys(needs_model=True, objects=False)


def _read_v1(fields: Fields, _hints: Hints) -> RerankRequest:
    chunks = fields.count("max_chunks_per_doc")
    return _V1.read(fields, reading=Reading(windows=None if chunks is None else chunks > 1))


def _read_v2(fields: Fields, _hints: Hints) -> RerankRequest:
    fields.count("priority", lowest=0)
    reading = Reading(document_tokens=fields.count("max_tokens_per_doc"))
    return _V2.read(fields, reading=reading, spans=_spans(fields.section("relevant_spans", needed=False)))


def _spans(fields: Fields) -> Spans | None:
    if fields.choice("mode", ("enabled", "disabled"), default="disabled") == "disabled":
        return None
    return Spans(threshold=fields.number("threshold", default=_SPAN_THRESHOLD), most=fields.count("max_spans"))


def _answer_v1(request: RerankRequest, ranked: Ranked) -> dict[str, Any]:
    return {"id": ranked.costs.request_id, "results": results_of(request, ranked), "meta": _meta(ranked.costs, "1")}


def _answer_v2(request: RerankRequest, ranked: Ranked) -> dict[str, Any]:
    results = results_of(request, ranked)
    for result in results if request.spans is not None else ():
        found = ranked.spans[result["index"]]
        result["relevant_spans"] = [{"start": one.start, "end": one.end, "score": one.score} for one in found]
    return {"id": ranked.costs.request_id, "results": results, "meta": _meta(ranked.costs, "2")}


def _meta(costs: Costs, version: str) -> dict[str, Any]:
    return {
        "api_version": {"version": version},
        "billed_units": {"search_units": 1},
        "tokens": {"input_tokens": costs.tokens, "output_tokens": 0},
    }


def _read_embed(fields: Fields, *, is_v2: bool) -> EmbedRequest:
    truncate = fields.choice("truncate", _TRUNCATE, default="END")
    if truncate == "START":
        refuse_lost_start("truncate", truncate)
    kind = fields.choice("input_type", _SIDES, default="" if is_v2 else "search_document")
    if not kind:
        msg = "input_type is missing"
        raise Refusal(msg, kind="invalid", param="input_type")
    if fields.count("max_tokens") is not None:
        msg = "max_tokens is not supported for vectors: texts are read up to the model's length"
        raise Refusal(msg, kind="invalid", param="max_tokens")
    by_type = is_v2 or "embedding_types" in fields
    return EmbedRequest(
        model=fields.text("model") if is_v2 else fields.optional_text("model"),
        texts=fields.texts("texts") if "texts" in fields or not is_v2 else _inputs(fields),
        side="query" if kind == "search_query" else "document",
        formats=fields.choices("embedding_types", tuple(FORMATS), default=("float",)),
        dimensions=fields.count("output_dimension"),
        whole=truncate == "NONE",
        extra={"by_type": by_type, "version": "2" if is_v2 else "1"},
    )


def _inputs(fields: Fields) -> list[str]:
    """Return the texts of version 2's ``inputs``, each a list of parts of which only texts can be embedded here."""
    texts = []
    for index, item in enumerate(fields.objects("inputs")):
        name = f"inputs[{index}]"
        if not isinstance(item, dict):
            raise fields.wrong(name, "an object", item)
        parts = Fields(item, within=name).objects("content")
        if not all(isinstance(part, dict) and isinstance(part.get("text"), str) for part in parts):
            msg = f"{name}.content must be a list of texts; images are not embedded here"
            raise Refusal(msg, kind="invalid", param="inputs")
        texts.append("\n".join(part["text"] for part in parts))
    return texts


def _answer_embed(request: EmbedRequest, found: Embedded) -> dict[str, Any]:
    by_type = bool(request.extra["by_type"])
    forms = {form: written(found.vectors, form) for form in request.formats}
    kind = "embeddings_by_type" if by_type else "embeddings_floats"
    return dropped_nulls(
        {
            "id": found.costs.request_id,
            "response_type": kind,
            "embeddings": forms if by_type else forms["float"],
            "texts": list(request.texts),
            "meta": {
                "api_version": {"version": request.extra["version"]},
                "billed_units": {"input_tokens": found.costs.tokens},
            },
        }
    )


RERANK_V1 = Endpoint(dialect=COHERE, read=_read_v1, answer=_answer_v1)
RERANK_V2 = Endpoint(dialect=COHERE, read=_read_v2, answer=_answer_v2)
EMBED_V1 = Endpoint(dialect=COHERE, read=lambda fields, _: _read_embed(fields, is_v2=False), answer=_answer_embed)
EMBED_V2 = Endpoint(dialect=COHERE, read=lambda fields, _: _read_embed(fields, is_v2=True), answer=_answer_embed)
