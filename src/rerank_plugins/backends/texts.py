"""What a backend of texts does not do itself: blank documents, windows, the score cache, checks of its numbers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any

import numpy as np

from rerank_plugins.backends.leased import LeasedBackend
from rerank_plugins.backends.protocol import BackendScores, Pairs, PairScorer, ScoreOptions
from rerank_plugins.catalog.spec import ModelSpec
from rerank_plugins.engine.deadline import Deadline
from rerank_plugins.engine.registry import Lease
from rerank_plugins.engine.score_cache import ScoreCache
from rerank_plugins.errors import InvalidInputError, RerankPluginsError, ScoringError
from rerank_plugins.ranking.results import PairReading
from rerank_plugins.text.pair_tokenizer import BLANK_PAIR, PairSettings
from rerank_plugins.text.tokenizer import is_blank
from rerank_plugins.text.words import cut_words, word_pieces
from rerank_plugins.types import CallUsage, StageScore

__all__ = ["TextBackend", "counted"]


@dataclass(frozen=True, slots=True)
class _Texts:
    """A pair as a cache knows it: by its digest, not by its text."""

    query: str
    document: str

    @property
    def cache_key(self) -> Hashable:
        query = self.query.encode("utf-8", "surrogatepass")
        digest = blake2b(len(query).to_bytes(8, "little") + query, digest_size=32)
        digest.update(self.document.encode("utf-8", "surrogatepass"))
        return digest.digest()


@dataclass(frozen=True, slots=True, eq=False)
class _Work:
    """A call on its way: what must run, and where its numbers belong.

    Attributes:
        readings: How each pair is read.
        inputs: Every input, in the pairs' order.
        scores: Those of inputs that ran before.
        missing: The different inputs that must run.
    """

    readings: Sequence[PairReading]
    inputs: Sequence[_Texts]
    scores: dict[_Texts, float]
    missing: Sequence[_Texts]

    @property
    def pairs(self) -> list[tuple[str, str | None]]:
        """What the backend is asked."""
        return [(one.query, one.document) for one in self.missing]


class TextBackend:
    """Any backend as a reranker needs it. Safe from any number of threads if the backend is.

    Blank documents are not shown to it; documents longer than it reads are cut or split at words; equal inputs of a
    call run once; the score cache, if there is one, is asked first; its numbers must be finite, one an input; whatever
    it raises besides errors of this package is a ScoringError.

    Args:
        lease: The share in the backend.
        settings: How pairs are cut, in words.
        cache: Scores of earlier calls; None for none.

    Raises:
        InvalidInputError: The settings leave no room for texts.
    """

    def __init__(
        self, lease: Lease[LeasedBackend[PairScorer]], settings: PairSettings, *, cache: ScoreCache | None
    ) -> None:
        self._lease, self._settings, self._cache = lease, settings, cache
        self.spec: ModelSpec = lease.value.backend.spec
        if settings.max_length_tokens < 2:
            msg = "max_length=1 leaves no room for a query and a document; pass a larger max_length"
            raise InvalidInputError(msg)

    @property
    def device(self) -> str:
        """Where the backend runs, in its own words."""
        return self._lease.value.device

    def on(self, lease: Lease[LeasedBackend[PairScorer]]) -> TextBackend:
        """Return the same on another share in the same backend."""
        made = copy(self)
        made._lease = lease
        return made

    def score(self, pairs: Pairs, options: ScoreOptions) -> BackendScores:
        """Return the raw scores of pairs.

        Raises:
            DeadlineExceededError: The time is over.
            ScoringError: The backend raised something, or its numbers cannot be scores.
            EngineClosedError: The reranker was closed.
        """
        leased, start_s = self._lease.value, time.perf_counter()
        work = self._work(pairs, options.deadline)
        found = BackendScores.of([])
        with counted(leased, inputs=len(work.inputs), missing=len(work.missing)):
            if work.missing:
                found = leased.backend.score(work.pairs, self._asked(work, options))
                options.deadline.check()
            return self._finished(work, found, time.perf_counter() - start_s)

    async def ascore(self, pairs: Pairs, options: ScoreOptions) -> BackendScores:
        """Return what :meth:`score` returns, without blocking the event loop."""
        leased, start_s = self._lease.value, time.perf_counter()
        work = await asyncio.to_thread(self._work, pairs, options.deadline)
        found = BackendScores.of([])
        with counted(leased, inputs=len(work.inputs), missing=len(work.missing)):
            if work.missing:
                scoring = leased.backend.ascore(work.pairs, self._asked(work, options))
                found = await options.deadline.await_work(scoring)
            return self._finished(work, found, time.perf_counter() - start_s)

    def close(self) -> None:
        """Nothing: whoever holds the share in the backend gives it back."""

    def _work(self, pairs: Pairs, deadline: Deadline) -> _Work:
        shown = {query: self._shown(query) for query, _ in pairs}
        read = []
        for query, document in pairs:
            deadline.check()
            read.append((shown[query][0], self._read(document, n_query=shown[query][1])))
        inputs = [_Texts(query, text) for query, reading in read for text in getattr(reading, "texts", ())]
        scores: dict[_Texts, float] = {}
        missing = []
        for one in dict.fromkeys(inputs):
            known = None if self._cache is None else self._cache.get(self._lease.value.identity, None, one)
            if known is None:
                missing.append(one)
            else:
                scores[one] = float(known[0])
        return _Work([reading for _, reading in read], inputs, scores, missing)

    def _shown(self, query: str) -> tuple[str, int]:
        """Return the query as it is shown, and its words."""
        # FlagEmbedding's rule for tokens: a query has three quarters of the input at most.
        limit = self._settings.query_limit_tokens or self._settings.max_length_tokens * 3 // 4
        return cut_words(query, min(limit, self._settings.max_length_tokens - 1))

    def _read(self, document: str | None, *, n_query: int) -> PairReading:
        """Return how a document is read beside a query of so many words."""
        if document is None or is_blank(document):
            return BLANK_PAIR
        room = self._settings.max_length_tokens - n_query
        return word_pieces(document, room=room, long_documents=self._settings.long_documents)

    def _asked(self, work: _Work, options: ScoreOptions) -> ScoreOptions:
        """Return what is asked of the backend: to score all finely for a cache, or where inputs are no documents."""
        is_rough = self._cache is None and all(one.n_inputs <= 1 for one in work.readings)
        return options if is_rough else replace(options, top_n=None)

    def _finished(self, work: _Work, found: BackendScores, total_s: float) -> BackendScores:
        ran = _checked(found, n=len(work.missing), name=self.spec.id)
        work.scores.update(zip(work.missing, ran, strict=True))
        if self._cache is not None:
            for number, (one, score) in enumerate(zip(work.missing, ran, strict=True)):
                if number not in found.provisional:
                    self._cache.put(self._lease.value.identity, None, one, np.array([score]))
        rows = np.array([[work.scores[one]] for one in work.inputs]).reshape(len(work.inputs), 1)
        usage = found.usage or CallUsage(
            tokenize_ms=0.0,
            queue_ms=0.0,
            forward_ms=total_s * 1e3,
            inputs=len(work.inputs),
            tokens=0,
            reused_inputs=len(work.inputs) - len(work.missing),
        )
        lost = {work.missing[number] for number in found.provisional}
        provisional = frozenset(row for row, one in enumerate(work.inputs) if one in lost)
        return BackendScores(rows, work.readings, usage, provisional, stages=_stages(work, found))


def _stages(work: _Work, found: BackendScores) -> list[tuple[StageScore, ...]] | None:
    """Return the stages of each input's score, for all inputs; a score from the cache has none."""
    if found.stages is None:
        return None
    stages_of = dict(zip(work.missing, found.stages, strict=True))
    return [stages_of.get(one, ()) for one in work.inputs]


def _checked(found: BackendScores, *, n: int, name: str) -> list[float]:
    """Return one finite score per input, or raise ScoringError."""
    rows = np.asarray(found.rows)
    if rows.shape != (n, 1):
        msg = f"backend {name!r} gave numbers of the shape {rows.shape} for {n} pairs; one score a pair is ({n}, 1)"
        raise ScoringError(msg)
    if not np.isfinite(rows).all():
        msg = f"backend {name!r} gave NaN or infinity for {int((~np.isfinite(rows)).sum())} of {n} pairs"
        raise ScoringError(msg)
    return [float(score) for score in rows[:, 0]]


@contextmanager
def counted(leased: LeasedBackend[Any], *, inputs: int, missing: int) -> Iterator[None]:
    """Count a call of a backend, and raise what is not this package's own as a ScoringError.

    Args:
        leased: The backend.
        inputs: Inputs of the call.
        missing: Those that must run.
    """
    start_s, failed = time.perf_counter(), True
    try:
        yield
        failed = False
    except (RerankPluginsError, KeyboardInterrupt, SystemExit, GeneratorExit, asyncio.CancelledError):
        raise
    except BaseException as error:
        msg = f"backend {leased.name!r} failed with {type(error).__name__}: {error}"
        raise ScoringError(msg) from error
    finally:
        leased.note(inputs=inputs, reused=inputs - missing, forward_s=time.perf_counter() - start_s, failed=failed)
