"""OpenAI's embeddings, which Jina, Voyage, infinity and vLLM took over, each with more keys."""

from __future__ import annotations

from typing import Any

from rerank_plugins.serving.dialects.base import Dialect, Endpoint, Hints, openai_error, refuse_lost_start, token_usage
from rerank_plugins.serving.dialects.vectors import FORMATS, written
from rerank_plugins.serving.fields import Fields
from rerank_plugins.serving.outcomes import Embedded
from rerank_plugins.serving.refusals import Refusal
from rerank_plugins.serving.requests import EmbedRequest

__all__ = ["EMBEDDINGS", "OPENAI"]

OPENAI = Dialect(name="openai", error=openai_error)

_FORM_KEYS = ("output_dtype", "embedding_type", "encoding_format")
_QUERIES = ("query", "retrieval.query", "search_query", "code.query", "nl2code.query")


def _read(fields: Fields, hints: Hints) -> EmbedRequest:
    model, side = _model_and_side(fields, hints)
    return EmbedRequest(
        model=model,
        texts=_texts(fields),
        side="query" if side == "query" else "document",
        formats=[_form(fields)],
        dimensions=fields.count("dimensions") or fields.count("output_dimension"),
        normalize=fields.flag("normalized", default=True) if "normalized" in fields else None,
        whole=_whole(fields),
    )


def _whole(fields: Fields) -> bool:
    """Check what cannot be done here, and return whether a text that does not fit is an error.

    Voyage's key is ``truncation``, Jina's ``truncate`` is a boolean and NVIDIA's a word; the third is vLLM's.
    """
    truncate = fields.raw("truncate")
    if truncate == "START":
        refuse_lost_start("truncate", truncate)
    if fields.count("truncate_prompt_tokens", lowest=-1) not in (None, -1):
        msg = "truncate_prompt_tokens is not supported for vectors but as -1: texts are read up to the model's length"
        raise Refusal(msg, kind="invalid", param="truncate_prompt_tokens")
    if fields.flag("late_chunking", default=False):
        msg = "late_chunking is not supported: each text is embedded by itself; leave it out"
        raise Refusal(msg, kind="invalid", param="late_chunking")
    return not fields.flag("truncation", default=True) or truncate is False or truncate == "NONE"


def _model_and_side(fields: Fields, hints: Hints) -> tuple[str | None, str]:
    """Return the model and what is embedded: by a key of Voyage or Jina, by a suffix, or by the server's setting."""
    model = fields.optional_text("model")
    input_type = fields.optional_text("input_type") or fields.optional_text("task")
    if model is not None and model.endswith((":query", ":document")):
        model, _, suffix = model.rpartition(":")
        return model, suffix
    if input_type is None:
        return model, hints.openai_side
    return model, "query" if input_type in _QUERIES else "document"


def _texts(fields: Fields) -> list[str]:
    found = fields.raw("input")
    items = found if isinstance(found, list) else [found]
    if items and all(isinstance(item, dict) and isinstance(item.get("text"), str) for item in items):
        return [item["text"] for item in items]
    if items and isinstance(items[0], (int, list)) and not isinstance(items[0], bool):
        msg = (
            "input must be texts: token ids belong to another model's vocabulary. With langchain-openai pass "
            "OpenAIEmbeddings(check_embedding_ctx_length=False)"
        )
        raise Refusal(msg, kind="invalid", param="input")
    return fields.texts("input")


def _form(fields: Fields) -> str:
    """Return how vectors are written; Voyage's client asks for base64 of whatever type its user wants."""
    forms = [fields.choice(name, tuple(FORMATS), default="float") for name in _FORM_KEYS]
    types = [form for form in forms if form not in ("float", "base64")]
    kind = types[0] if types else ""
    return f"{kind}_base64".lstrip("_") if "base64" in forms else kind or "float"


def _answer(request: EmbedRequest, found: Embedded) -> dict[str, Any]:
    costs = found.costs
    vectors = written(found.vectors, request.formats[0])
    data = [{"object": "embedding", "index": index, "embedding": one} for index, one in enumerate(vectors)]
    head = {"object": "list", "id": costs.request_id, "created": costs.created_s, "model": costs.model}
    return {**head, "data": data, "usage": token_usage(costs)}


EMBEDDINGS = Endpoint(dialect=OPENAI, read=_read, answer=_answer)
