"""SiliconFlow: Jina's reranking with windows and an instruction."""

from __future__ import annotations

from rerank_plugins.serving.dialects import jina
from rerank_plugins.serving.dialects.base import Dialect, Endpoint, Hints
from rerank_plugins.serving.dialects.reranking import Keys, instruction_of
from rerank_plugins.serving.fields import Fields
from rerank_plugins.serving.outcomes import Ranked
from rerank_plugins.serving.refusals import Refusal
from rerank_plugins.serving.requests import Reading, RerankRequest

__all__ = ["RERANK", "SILICONFLOW"]

_KEYS = Keys()


def _error(refusal: Refusal, status: int, _request_id: str) -> dict[str, object]:
    return {"code": status * 100 + 1, "message": refusal.message, "data": None, "detail": refusal.message}


SILICONFLOW = Dialect(name="siliconflow", error=_error)


def _read(fields: Fields, _hints: Hints) -> RerankRequest:
    chunks, overlap = fields.count("max_chunks_per_doc"), fields.count("overlap_tokens", lowest=0)
    windows = None if chunks is None else chunks > 1
    reading = Reading(instruction=instruction_of(fields, "instruction"), windows=windows, overlap_tokens=overlap)
    return _KEYS.read(fields, reading=reading)


def _answer(request: RerankRequest, ranked: Ranked) -> dict[str, object]:
    return jina.answer(request, ranked)


RERANK = Endpoint(dialect=SILICONFLOW, read=_read, answer=_answer)
