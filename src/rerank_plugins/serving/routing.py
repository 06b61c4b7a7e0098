"""The table of routes: by path first, then by the keys of the body, as the clients were recorded."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from rerank_plugins.serving.dialects import (
    cohere,
    dashscope,
    infinity,
    jina,
    nvidia,
    openai,
    own,
    qanything,
    siliconflow,
    tei,
    vllm,
    voyage,
    xinference,
)
from rerank_plugins.serving.dialects.base import Dialect, Endpoint
from rerank_plugins.serving.refusals import Refusal
from rerank_plugins.serving.settings import DialectName

__all__ = ["PATHS", "Body", "Choice", "Route", "find_route"]

Body = Mapping[str, Any]
Headers = Mapping[str, str]
Chooser = Callable[[Body, Headers], Endpoint]


def _unsure_error(refusal: Refusal, _status: int, request_id: str) -> dict[str, Any]:
    """Return an error for a path of several dialects whose body was not read: what any of them looks for."""
    message = refusal.message
    return {"error": message, "error_type": "Validation", "detail": message, "message": message, "id": request_id}


UNSURE = Dialect(name="unknown", error=_unsure_error)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What a path means.

    Attributes:
        dialect: How errors look before the body was read.
        choose: Gives the endpoint of a body and its headers (lower-case names).
    """

    dialect: Dialect
    choose: Chooser


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """The route of one request.

    Attributes:
        label: The path in the table, for metrics and logs: the request's own may hold anything.
        choice: What it means; None for a path that is only read (GET).
        path_model: The model in the path; None if there is none.
    """

    label: str
    choice: Choice | None
    path_model: str | None = None


def _always(endpoint: Endpoint) -> Choice:
    return Choice(dialect=endpoint.dialect, choose=lambda _body, _headers: endpoint)


def _v1_rerank(body: Body, headers: Headers) -> Endpoint:
    """Tell the dialects of ``/v1/rerank`` apart by what only one client sends."""
    if "top_k" in body or ("truncation" in body and "top_n" not in body):
        return voyage.RERANK
    if headers.get("x-fern-sdk-name") == "cohere" or "rank_fields" in body:
        return cohere.RERANK_V1
    if "kwargs" in body or "return_len" in body:
        return xinference.RERANK
    return _by_keys_of_one(body) or jina.RERANK


def _by_keys_of_one(body: Body) -> Endpoint | None:
    """Return the endpoint whose keys no other dialect of ``documents`` has; None where there is no such key."""
    if "overlap_tokens" in body or "max_chunks_per_doc" in body:
        return siliconflow.RERANK
    if "raw_scores" in body:
        return infinity.RERANK
    return vllm.RERANK if "text_1" in body or any(key in body for key in vllm.OWN_KEYS) else None


def _v2_rerank(body: Body, headers: Headers) -> Endpoint:
    """Tell vLLM's clients, which may send there too, from Cohere's by keys that Cohere does not have."""
    if headers.get("x-fern-sdk-name") == "cohere" or "relevant_spans" in body:
        return cohere.RERANK_V2
    own = {*vllm.OWN_KEYS, "instruction"} - {"max_tokens_per_doc"}
    return vllm.RERANK if any(key in body for key in own) else cohere.RERANK_V2


def _rerank(pinned: DialectName) -> Chooser:
    """Tell the dialects of ``/rerank`` apart.

    Args:
        pinned: Whose answer is given where infinity's clients and vLLM's send the same.
    """
    default = infinity.RERANK if pinned == "infinity" else vllm.RERANK

    def choose(body: Body, _headers: Headers) -> Endpoint:
        if "texts" in body:
            return tei.RERANK
        if "passages" in body:
            return qanything.RERANK
        return voyage.RERANK if "top_k" in body else _by_keys_of_one(body) or default

    return choose


def _table(pinned: DialectName) -> Mapping[str, Choice]:
    short = Choice(dialect=UNSURE, choose=_rerank(pinned))
    jina_like = Choice(dialect=jina.JINA, choose=_v1_rerank)
    embeddings, ranking, reranks = map(_always, (openai.EMBEDDINGS, nvidia.RANKING, dashscope.RERANKS))
    table = {
        "/rerank": short,
        "/reranking": short,
        "/v1/rerank": jina_like,
        "/v1/reranking": jina_like,
        "/v2/rerank": Choice(dialect=cohere.COHERE, choose=_v2_rerank),
        "/v1/embed": _always(cohere.EMBED_V1),
        "/v2/embed": _always(cohere.EMBED_V2),
        "/": Choice(dialect=tei.TEI, choose=tei.root_endpoint),
        "/embed": _always(tei.EMBED),
        "/embed_sparse": _always(tei.EMBED_SPARSE),
        "/embed_all": _always(tei.EMBED_ALL),
        "/similarity": _always(tei.SIMILARITY),
        "/tokenize": _always(tei.TOKENIZE),
        "/score": _always(vllm.SCORE),
        "/v1/score": _always(vllm.SCORE),
        "/v1/explain": _always(own.EXPLAIN),
        "/embeddings": embeddings,
        "/v1/embeddings": embeddings,
        "/compatible-mode/v1/embeddings": embeddings,
        "/v1/ranking": ranking,
        "/v1/retrieval/{model}/reranking": ranking,
        "/reranks": reranks,
        "/v1/reranks": reranks,
        "/compatible-api/v1/reranks": reranks,
        "/compatible-mode/v1/reranks": reranks,
        "/api/v1/services/rerank/text-rerank/text-rerank": _always(dashscope.RERANK),
    }
    return MappingProxyType(table)


_TABLES: Mapping[DialectName, Mapping[str, Choice]] = MappingProxyType(
    {"vllm": _table("vllm"), "infinity": _table("infinity")}
)

PATHS = tuple(_TABLES["vllm"])
"""All paths that take a body."""

_READ_ONLY = (
    "/",
    "/livez",
    "/readyz",
    "/health",
    "/ping",
    "/metrics",
    "/info",
    "/models",
    "/v1/models",
    "/v1/models/{model}",
    "/v1/cluster/auth",
    "/v1/health/live",
    "/v1/health/ready",
)
_PATTERNS = tuple(
    (label, re.compile(re.escape(label).replace(re.escape("{model}"), "(.+)")))
    for label in (*PATHS, *_READ_ONLY)
    if "{model}" in label
)


def find_route(method: str, path: str, *, pinned: DialectName) -> Route:
    """Return the route of a request; a slash at the end of the path does not matter, and no redirect is needed.

    Args:
        method: The HTTP method.
        path: The path, decoded.
        pinned: See :class:`~rerank_plugins.serving.settings.ServeSettings`.

    Raises:
        Refusal: There is no such path, or it takes another method.
    """
    bare = path.rstrip("/") or "/"
    label, model = bare, None
    if bare not in _TABLES[pinned] and bare not in _READ_ONLY:
        label, model = _matched(bare)
    reads = method in {"GET", "HEAD"} and label in _READ_ONLY
    choice = _TABLES[pinned].get(label)
    if reads:
        return Route(label=label, choice=None, path_model=model)
    if method == "POST" and choice is not None:
        return Route(label=label, choice=choice, path_model=model)
    if label in _READ_ONLY or choice is not None:
        taken = [*(("GET", "HEAD") if label in _READ_ONLY else ()), *(("POST",) if choice is not None else ())]
        msg = f"this path takes {' and '.join(taken)}"
        raise Refusal(msg, kind="wrong_method", allow=", ".join(taken))
    msg = "there is nothing at this path; docs/serving.md lists the paths and the applications that use them"
    raise Refusal(msg, kind="unknown_path")


def _matched(path: str) -> tuple[str, str | None]:
    for label, pattern in _PATTERNS:
        match = pattern.fullmatch(path)
        if match is not None:
            return label, match[1]
    return path, None
