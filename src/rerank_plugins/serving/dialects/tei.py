"""Text Embeddings Inference: ``/rerank`` with ``texts``, ``/embed*``, ``/similarity``, ``/tokenize`` and ``/``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from rerank_plugins.serving.dialects.base import Dialect, Endpoint, Hints, refuse_lost_start
from rerank_plugins.serving.fields import Fields
from rerank_plugins.serving.outcomes import Embedded, EmbeddedTokens, Ranked, Tokenized
from rerank_plugins.serving.refusals import Kind, Refusal
from rerank_plugins.serving.requests import EmbedRequest, RerankRequest, Side, TokenizeRequest, TokenOutput

__all__ = ["EMBED", "EMBED_ALL", "EMBED_SPARSE", "RERANK", "SIMILARITY", "TEI", "TOKENIZE", "root_endpoint"]

_TYPES: Mapping[Kind, str] = MappingProxyType(
    {
        "empty": "Empty",
        "overloaded": "Overloaded",
        "unavailable": "Unhealthy",
        "late": "Overloaded",
        "failed": "Backend",
        "upstream": "Backend",
    }
)


def _error(refusal: Refusal, _status: int, _request_id: str) -> dict[str, Any]:
    return {"error": refusal.message, "error_type": _TYPES.get(refusal.kind, "Validation")}


TEI = Dialect(
    name="tei",
    error=_error,
    # Before 1.9.0 its own checks were 413 (huggingface/text-embeddings-inference#818).
    statuses=MappingProxyType({"invalid": 422, "too_many": 422, "failed": 424}),
)


def _whole(fields: Fields, hints: Hints) -> bool:
    """Check what cannot be done here, and return whether a text that does not fit is an error."""
    if fields.choice("truncation_direction", ("right", "left"), default="right") == "left":
        refuse_lost_start("truncation_direction", "left")
    return not fields.flag("truncate", default=hints.auto_truncate)


def _read(fields: Fields, hints: Hints) -> RerankRequest:
    return RerankRequest(
        model=None,
        query=fields.text("query"),
        documents=fields.texts("texts"),
        # TEI ignores it; LiteLLM sends it and means it.
        top_n=fields.count("top_n", lowest=0) or None,
        returns_documents=fields.flag("return_text", default=False),
        raw=fields.flag("raw_scores", default=False),
        whole=_whole(fields, hints),
    )


def _answer(request: RerankRequest, ranked: Ranked) -> list[dict[str, Any]]:
    found = []
    for one in ranked.documents:
        text = {"text": request.documents[one.index]} if request.returns_documents else {}
        found.append({"index": one.index, "score": one.score if request.raw else one.probability, **text})
    return found


def _side(fields: Fields) -> Side:
    prompt = fields.optional_text("prompt_name")
    return "query" if prompt is not None and "query" in prompt.lower() else "document"


def _read_embed(fields: Fields, hints: Hints) -> EmbedRequest:
    return EmbedRequest(
        model=None,
        texts=fields.texts("inputs"),
        side=_side(fields),
        whole=_whole(fields, hints),
        normalize=fields.flag("normalize", default=True),
        dimensions=fields.count("dimensions"),
    )


def _answer_embed(_request: EmbedRequest, found: Embedded) -> Any:
    return found.vectors


def _reader_of(output: TokenOutput) -> Callable[[Fields, Hints], EmbedRequest]:
    """Return what reads requests for sparse weights, or for one vector a token."""

    def read(fields: Fields, hints: Hints) -> EmbedRequest:
        texts, whole = fields.texts("inputs"), _whole(fields, hints)
        return EmbedRequest(model=None, texts=texts, side=_side(fields), output=output, whole=whole)

    return read


def _answer_sparse(_request: EmbedRequest, found: EmbeddedTokens) -> list[list[dict[str, Any]]]:
    weights = found.vectors.sparse or ()
    return [[{"index": token, "value": one[token]} for token in sorted(one)] for one in weights]


def _answer_all(_request: EmbedRequest, found: EmbeddedTokens) -> Any:
    return list(found.vectors.colbert or ())


def _read_similarity(fields: Fields, hints: Hints) -> EmbedRequest:
    inputs, parameters = fields.section("inputs"), fields.section("parameters", needed=False)
    return EmbedRequest(
        model=None,
        texts=[inputs.text("source_sentence"), *inputs.texts("sentences")],
        side="document",
        normalize=True,
        whole=_whole(parameters, hints),
    )


def _answer_similarity(_request: EmbedRequest, found: Embedded) -> list[float]:
    source, sentences = found.vectors[0], found.vectors[1:]
    similarities: list[float] = np.dot(sentences, source).astype(float).tolist()
    return similarities


def _read_tokenize(fields: Fields, _hints: Hints) -> TokenizeRequest:
    special = fields.flag("add_special_tokens", default=True)
    return TokenizeRequest(model=None, texts=fields.texts("inputs"), special_tokens=special)


def _answer_tokenize(_request: TokenizeRequest, found: Tokenized) -> Any:
    return found.tokens


RERANK = Endpoint(dialect=TEI, read=_read, answer=_answer)
EMBED = Endpoint(dialect=TEI, read=_read_embed, answer=_answer_embed)
EMBED_SPARSE = Endpoint(dialect=TEI, read=_reader_of("sparse"), answer=_answer_sparse)
EMBED_ALL = Endpoint(dialect=TEI, read=_reader_of("colbert"), answer=_answer_all)
SIMILARITY = Endpoint(dialect=TEI, read=_read_similarity, answer=_answer_similarity)
TOKENIZE = Endpoint(dialect=TEI, read=_read_tokenize, answer=_answer_tokenize)


def root_endpoint(body: Mapping[str, Any], _headers: Mapping[str, str]) -> Endpoint:
    """Return what ``POST /`` means, which TEI tells by its one model and we by the body."""
    if "texts" in body or "query" in body:
        return RERANK
    return SIMILARITY if isinstance(body.get("inputs"), dict) else EMBED
