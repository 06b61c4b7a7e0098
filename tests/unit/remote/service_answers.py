"""Answers of every service in its own shape, for servers of tests that do as they are told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

__all__ = ["embedded_texts", "reranked", "reranked_texts", "vectors_of"]

Rows = Sequence[tuple[int, Any]]


def _rows(rows: Rows, name: str) -> list[dict[str, Any]]:
    return [{"index": index, name: score} for index, score in rows]


_RERANKED: dict[str, Callable[[Rows], Any]] = {
    "cohere": lambda rows: {"id": "1", "results": _rows(rows, "relevance_score")},
    "dashscope": lambda rows: {"output": {"results": _rows(rows, "relevance_score")}, "request_id": "1"},
    "infinity": lambda rows: {"object": "rerank", "results": _rows(rows, "relevance_score")},
    "jina": lambda rows: {"object": "list", "results": _rows(rows, "relevance_score")},
    "nvidia": lambda rows: {"rankings": _rows(rows, "logit")},
    "rerank-plugins": lambda rows: {"object": "list", "results": _rows(rows, "relevance_score")},
    "siliconflow": lambda rows: {"id": "1", "results": _rows(rows, "relevance_score")},
    "tei": lambda rows: _rows(rows, "score"),
    "vllm": lambda rows: {"id": "1", "results": _rows(rows, "relevance_score")},
    "voyage": lambda rows: {"object": "list", "data": _rows(rows, "relevance_score")},
    "xinference": lambda rows: {"id": "1", "results": _rows(rows, "relevance_score")},
}


def reranked(service: str, rows: Rows) -> Any:
    """Return the answer of a service with these indices and scores, in this order."""
    return _RERANKED[service](rows)


def reranked_texts(service: str, body: Any) -> list[str]:
    """Return the documents of a request."""
    if service == "dashscope":
        return list(body["input"]["documents"])
    if service == "nvidia":
        return [one["text"] for one in body["passages"]]
    return list(body["texts" if service == "tei" else "documents"])


def vectors_of(service: str, vectors: Sequence[Any]) -> Any:
    """Return the answer of a service with these vectors."""
    if service == "tei":
        return list(vectors)
    if service == "cohere":
        return {"id": "1", "embeddings": {"float": list(vectors)}}
    return {"object": "list", "data": [{"index": n, "embedding": one} for n, one in enumerate(vectors)]}


def embedded_texts(service: str, body: Any) -> list[str]:
    """Return the texts of a request."""
    return list(body[{"tei": "inputs", "cohere": "texts"}.get(service, "input")])
