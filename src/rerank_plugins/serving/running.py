"""Runs requests on the facades: admitted by tokens first, within a deadline, dropped with their task."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rerank_plugins.errors import RerankPluginsError
from rerank_plugins.reranker import Reranker
from rerank_plugins.serving.admission import estimated_tokens, pair_tokens
from rerank_plugins.serving.models import ModelStore
from rerank_plugins.serving.outcomes import (
    Costs,
    Embedded,
    EmbeddedTokens,
    Explained,
    Outcome,
    Ranked,
    Scored,
    Tokenized,
)
from rerank_plugins.serving.refusals import Refusal, refusal_of
from rerank_plugins.serving.requests import (
    EmbedRequest,
    ExplainRequest,
    PairsRequest,
    Request,
    RerankRequest,
    TokenizeRequest,
)
from rerank_plugins.serving.served import Served, ServedEmbedder
from rerank_plugins.serving.settings import Limits
from rerank_plugins.serving.spans import found_spans
from rerank_plugins.serving.taken import with_usage
from rerank_plugins.serving.tokens import cut_to_tokens, cuts_query, tokens_of
from rerank_plugins.types import CallUsage, RankedDocument, WindowSpan

if TYPE_CHECKING:
    from rerank_plugins.embedder import Embedder

__all__ = ["Arrival", "Runner"]

_LONGEST_INPUT = 1_000_000
"""Tokens of an input of a model that names no limit, for estimates."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """When a request came, and until when it is wanted.

    Attributes:
        request_id: Tells it apart.
        started_s: When it came, on the clock of ``time.perf_counter``.
        deadline_s: Seconds from then.
    """

    request_id: str
    started_s: float
    deadline_s: float

    def left_s(self) -> float:
        """Return the seconds that are left.

        Raises:
            Refusal: None are.
        """
        left_s = self.deadline_s - (time.perf_counter() - self.started_s)
        if left_s <= 0:
            raise self.late()
        return left_s

    def late(self) -> Refusal:
        """Return the refusal of a request whose deadline has passed."""
        msg = f"the result was not there within {self.deadline_s:g} s; what had not run was dropped"
        return Refusal(msg, kind="late")


class Runner:
    """Gives the outcome of any request.

    Args:
        store: The models.
        limits: How much a caller may ask for.
    """

    def __init__(self, store: ModelStore, limits: Limits) -> None:
        self._store, self._limits = store, limits

    async def run(self, request: Request, arrival: Arrival) -> Outcome:
        """Return what came of a request.

        Raises:
            Refusal: It is refused, for whatever reason.
        """
        left_s = arrival.left_s()
        try:
            return await asyncio.wait_for(self._run(request, arrival), left_s)
        except asyncio.TimeoutError as error:
            raise arrival.late() from error
        except RerankPluginsError as error:
            refusal = refusal_of(error)
            if refusal.kind == "failed":
                raise
            raise refusal from error

    async def _run(self, request: Request, arrival: Arrival) -> Outcome:
        if isinstance(request, RerankRequest):
            return await self._rank(request, arrival)
        if isinstance(request, PairsRequest):
            return await self._score(request, arrival)
        if isinstance(request, ExplainRequest):
            return await self._explain(request, arrival)
        if isinstance(request, EmbedRequest):
            return await self._embed(request, arrival)
        return await self._tokenize(request, arrival)

    async def _rank(self, request: RerankRequest, arrival: Arrival) -> Ranked:
        _check_many(request.documents, self._limits.max_documents, "documents")
        served = self._store.reranker(request.model)
        default = await served.opened()
        tokens = _tokens_of_pairs(default, request.query, request.documents, windows=request.reading.windows)
        tokens *= 1 if request.spans is None else 2
        with served.admission.admitted(tokens, time_left_s=arrival.left_s()):
            reranker = await served.variant(replace(request.reading, document_tokens=None))
            documents = await _cut(reranker, request.documents, request.reading.document_tokens)
            if request.whole and await asyncio.to_thread(cuts_query, reranker, request.query, documents):
                raise _too_long(None, reranker.max_length)
            # Whether one was cut is looked at in all documents, not in the returned ones alone.
            top_n = None if request.whole else request.top_n
            ranking = await reranker.arank(
                request.query, documents, top_n=top_n, deadline_s=arrival.left_s(), threshold=None
            )
            if request.whole:
                _check_whole(ranking, reranker.max_length)
                ranking = ranking[: request.top_n]
            spans, usage = await found_spans(reranker, request, ranking, deadline_s=arrival.left_s())
        texts = [request.query, *request.documents]
        costs = _costs(served, arrival, texts, usage, tokens)
        return Ranked(costs=costs, documents=_with_cuts_marked(ranking, request.documents, documents), spans=spans)

    async def _score(self, request: PairsRequest, arrival: Arrival) -> Scored:
        _check_many(request.pairs, self._limits.max_texts, "pairs")
        served = self._store.reranker(request.model)
        default = await served.opened()
        tokens = sum(_tokens_of_pairs(default, query, [document]) for query, document in request.pairs)
        with served.admission.admitted(tokens, time_left_s=arrival.left_s()):
            reranker = await served.variant(replace(request.reading, document_tokens=None))
            whole = [document for _, document in request.pairs]
            documents = await _cut(reranker, whole, request.reading.document_tokens)
            pairs = [(query, document) for (query, _), document in zip(request.pairs, documents, strict=True)]
            scores, usage = await with_usage(
                reranker.ascore(pairs, deadline_s=arrival.left_s()), model=reranker.spec.id
            )
        reported = scores if request.raw else [reranker.probability(score) for score in scores]
        texts = (text for pair in request.pairs for text in pair)
        return Scored(costs=_costs(served, arrival, texts, usage, tokens), scores=reported)

    async def _explain(self, request: ExplainRequest, arrival: Arrival) -> Explained:
        served = self._store.reranker(request.model)
        default = await served.opened()
        tokens = _tokens_of_explanation(default, request)
        with served.admission.admitted(tokens, time_left_s=arrival.left_s()):
            reranker = await served.variant(request.reading)
            explaining = reranker.aexplain(
                request.query, request.document, max_spans=request.max_spans, deadline_s=arrival.left_s()
            )
            explanation, usage = await with_usage(explaining, model=reranker.spec.id)
        costs = _costs(served, arrival, [request.query, request.document], usage, tokens)
        return Explained(costs=costs, explanation=explanation, probability=reranker.probability(explanation.score))

    async def _embed(self, request: EmbedRequest, arrival: Arrival) -> Embedded | EmbeddedTokens:
        _check_many(request.texts, self._limits.max_texts, "texts")
        served = self._store.embedder(request.model)
        default = await served.opened()
        length = min(default.max_length, _LONGEST_INPUT)
        tokens = sum(estimated_tokens(text, most=length) for text in request.texts)
        with served.admission.admitted(tokens, time_left_s=arrival.left_s()):
            embedder: Embedder = await served.variant(ServedEmbedder.use_of(request))
            texts = list(request.texts)
            if request.whole:
                ends = embedder.truncated_queries if request.side == "query" else embedder.truncated_documents
                cut = await asyncio.to_thread(ends, texts)
                if True in cut:
                    raise _too_long(cut.index(True), embedder.max_length)
            left_s = arrival.left_s()
            if request.output is not None:
                encode = embedder.aencode_queries if request.side == "query" else embedder.aencode_documents
                encoding = encode(texts, outputs=(request.output,), deadline_s=left_s)
                found, usage = await with_usage(encoding, model=embedder.spec.id)
                return EmbeddedTokens(costs=_costs(served, arrival, texts, usage, tokens), vectors=found)
            embed = embedder.aembed_queries if request.side == "query" else embedder.aembed_documents
            vectors, usage = await with_usage(embed(texts, deadline_s=left_s), model=embedder.spec.id)
        return Embedded(costs=_costs(served, arrival, texts, usage, tokens), vectors=vectors)

    async def _tokenize(self, request: TokenizeRequest, arrival: Arrival) -> Tokenized:
        _check_many(request.texts, self._limits.max_texts, "inputs")
        served = self._store.any(request.model)
        handle = await served.opened()
        found = await asyncio.to_thread(tokens_of, handle, request.texts, special_tokens=request.special_tokens)
        return Tokenized(costs=_costs(served, arrival, request.texts, None, sum(map(len, found))), tokens=found)


def _check_many(items: Sequence[object], most: int, name: str) -> None:
    if len(items) > most:
        # The words of TEI, which clients that split look for.
        msg = f"batch size {len(items)} > maximum allowed batch size {most}"
        raise Refusal(msg, kind="too_many", param=name)


def _tokens_of_pairs(default: Reranker, query: str, documents: Sequence[str], *, windows: bool | None = None) -> int:
    in_windows = default.long_documents.strategy != "truncate" if windows is None else windows
    return pair_tokens(query, documents, length=min(default.max_length, _LONGEST_INPUT), windows=in_windows)


def _tokens_of_explanation(default: Reranker, request: ExplainRequest) -> int:
    """Return about how many tokens are read: the document, then what counts of it once for each part and once whole."""
    texts = request.query, [request.document]
    whole = _tokens_of_pairs(default, *texts, windows=request.reading.windows)
    if default.spec.late_interaction is not None:
        return whole
    # Words are not counted, so as to stay quick: each is a character at least, and one stands between two of them.
    parts = min(request.max_spans, (len(request.document) + 1) // 2)
    return whole + (1 + parts) * _tokens_of_pairs(default, *texts, windows=False)


async def _cut(reranker: Reranker, documents: Sequence[str], most: int | None) -> list[str]:
    if most is None or (most >= reranker.max_length and reranker.long_documents.strategy == "truncate"):
        return list(documents)
    return await asyncio.to_thread(cut_to_tokens, reranker, documents, most)


def _with_cuts_marked(
    ranking: Sequence[RankedDocument], whole: Sequence[str], cut: Sequence[str]
) -> Sequence[RankedDocument]:
    """Return results that say of a document that was cut here what those say that a model cut."""
    return [
        one
        if len(cut[one.index]) == len(whole[one.index])
        else replace(one, truncated=True, window=one.window or WindowSpan(0, len(cut[one.index])))
        for one in ranking
    ]


def _check_whole(ranking: Sequence[RankedDocument], length: int) -> None:
    cut = sorted(one.index for one in ranking if one.truncated)
    if cut:
        raise _too_long(cut[0], length)


def _too_long(place: int | None, length: int) -> Refusal:
    """Return the refusal for a text at a place, or for the query, in the words of TEI."""
    what = "the query" if place is None else f"text {place}"
    msg = f"`inputs` must have less than {length} tokens; {what} has more. Allow truncation"
    return Refusal(msg, kind="invalid", param="truncate")


def _costs(
    served: Served[Reranker] | Served[Embedder],
    arrival: Arrival,
    texts: Iterable[str],
    usage: CallUsage | None,
    estimate: int,
) -> Costs:
    return Costs(
        request_id=arrival.request_id,
        created_s=int(time.time()),
        model=served.name,
        # A service may tell of no tokens, as may a backend of somebody's own; where there was no input, there are none.
        tokens=estimate if usage is None or (usage.inputs and not usage.tokens) else usage.tokens,
        characters=sum(map(len, texts)),
        total_ms=1_000 * (time.perf_counter() - arrival.started_s),
        usage=usage,
    )
