"""Late interaction on this machine: token vectors of query and documents from the engine, compared by MaxSim."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Hashable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from rerank_plugins.backends.kept_vectors import KeptVectors
from rerank_plugins.backends.protocol import BackendScores, Pairs, ScoreOptions
from rerank_plugins.backends.token_matching import token_matches
from rerank_plugins.backends.token_vectors import QueuedVectors, TokenVectorModel
from rerank_plugins.catalog.spec import ModelSpec
from rerank_plugins.embedding.kept.files import KeptDocument, KeptWindow
from rerank_plugins.embedding.maxsim import joined_vectors, maxsim
from rerank_plugins.engine.calls import Answer, KnownRows, usage_of_all
from rerank_plugins.engine.registry import Lease
from rerank_plugins.ranking.matches import TokenMatches
from rerank_plugins.text.late_inputs import LateDocument, LateText
from rerank_plugins.types import CallUsage

if TYPE_CHECKING:
    from rerank_plugins.backends.loaded import LoadedModel

__all__ = ["LateInteractionScorer"]

_Rows = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class _Pair:
    """The keys of a query and of an input of a document, by which a cache knows their score."""

    query: Hashable
    document: Hashable

    @property
    def cache_key(self) -> Hashable:
        """Digests, and no text."""
        return self.query, self.document


@dataclass(frozen=True, slots=True, eq=False)
class _Work:
    """A call: how its documents are read, which scores are known, and which texts must run for the others.

    Attributes:
        readings: How each pair's document is read.
        pairs: The inputs of all pairs, in order.
        missing: Different pairs that must be scored.
        texts: Different inputs that must run, by their keys.
        kept: Inputs whose vectors are kept, by their keys.
        scores: Those of pairs that were scored before.
        tokenize_s: Seconds that the inputs took.
    """

    readings: Sequence[LateDocument | KeptDocument]
    pairs: Sequence[_Pair]
    missing: Sequence[_Pair]
    texts: dict[Hashable, LateText]
    kept: dict[Hashable, KeptWindow]
    scores: dict[_Pair, float]
    tokenize_s: float


@dataclass(frozen=True, slots=True, eq=False)
class _Queued:
    """A call in the engine's queue."""

    scorer: LateInteractionScorer
    work: _Work
    queue: QueuedVectors
    options: ScoreOptions

    def result(self) -> BackendScores:
        try:
            answers = self.queue.wait(self.options.deadline)
        finally:
            self.queue.cancel()
        return self.scorer.compared(self.work, self.queue, answers, self.options)

    def cancel(self) -> bool:
        return self.queue.cancel()


class LateInteractionScorer:
    """Scores pairs by the token vectors of one loaded model. Safe from any number of threads.

    Args:
        model: Makes the vectors.
        spec: How the model is used.
        known: Scores of earlier calls; None for none.
        kept: Vectors of documents on disk; None for none.
    """

    def __init__(
        self, model: TokenVectorModel, spec: ModelSpec, *, known: KnownRows | None, kept: KeptVectors | None = None
    ) -> None:
        self.model, self.spec, self._known, self.kept = model, spec, known, kept

    @property
    def device(self) -> str:
        """Where the model runs, in torch's words."""
        return self.model.device

    def on(self, lease: Lease[LoadedModel]) -> LateInteractionScorer:
        """Return the same on another share in the same model."""
        made = copy(self)
        made.model = self.model.on(lease)
        made.kept = None if self.kept is None else self.kept.on(made.model)
        return made

    def score(self, pairs: Pairs, options: ScoreOptions) -> BackendScores:
        """Send what is different among queries and documents through the model, and compare.

        Raises:
            DeadlineExceededError: The time is over.
            OverloadedError: Too much work waits already.
            ScoringError: The model returned NaN or infinity.
            EngineClosedError: The model was closed.
        """
        work = self._work(pairs)
        options.deadline.check()
        with self.model.queued([*work.texts.values()]) as queue:
            answers = queue.wait(options.deadline)
        return self.compared(work, queue, answers, options)

    async def ascore(self, pairs: Pairs, options: ScoreOptions) -> BackendScores:
        """Do what :meth:`score` does, without blocking the event loop."""
        work = await asyncio.to_thread(self._work, pairs)
        options.deadline.check()
        with self.model.queued([*work.texts.values()]) as queue:
            answers = await queue.await_all(options.deadline)
        # Not a wait but work: every token of a query with every token of its documents.
        return await asyncio.to_thread(self.compared, work, queue, answers, options)

    def submit(self, pairs: Pairs, options: ScoreOptions) -> _Queued:
        """Queue pairs; their windows are not returned, so that a stream keeps nothing of the texts."""
        work = self._work(pairs, keeps_texts=False)
        return _Queued(self, work, self.model.queue([*work.texts.values()]), options)

    def match(self, query: str, document: str, options: ScoreOptions) -> TokenMatches:
        """Return which token of a document answered which token of a query.

        Args:
            query: The question.
            document: Not blank. Of a long one, the window with the best score is shown, or the part that is read.
            options: What the call asks.

        Raises:
            DeadlineExceededError: The time is over.
            ScoringError: The model returned NaN or infinity.
        """
        (question, read), tokenize_s = self._to_match(query, document)
        with self.model.queued([question, *read.windows]) as queue:
            answers = queue.wait(options.deadline)
        return self._matched(queue, answers, read, tokenize_s)

    async def amatch(self, query: str, document: str, options: ScoreOptions) -> TokenMatches:
        """Do what :meth:`match` does, without blocking the event loop."""
        (question, read), tokenize_s = await asyncio.to_thread(self._to_match, query, document)
        with self.model.queued([question, *read.windows]) as queue:
            answers = await queue.await_all(options.deadline)
        return await asyncio.to_thread(self._matched, queue, answers, read, tokenize_s)

    def close(self) -> None:
        """Nothing: whoever holds the share in the model gives it back."""

    def compared(
        self, work: _Work, queue: QueuedVectors, answers: Sequence[Answer], options: ScoreOptions
    ) -> BackendScores:
        """Return the scores of a call whose vectors are there: one matrix product per query."""
        vectors = dict(zip(work.texts, queue.vectors(answers), strict=True))
        by_query: dict[Hashable, list[_Pair]] = {}
        for pair in work.missing:
            by_query.setdefault(pair.query, []).append(pair)
        for key, pairs in by_query.items():
            options.deadline.check()
            found = self._compared_with(vectors[key], pairs, vectors, work, options)
            work.scores.update(zip(pairs, found.tolist(), strict=True))
        if options.top_n is None or self.kept is None:
            # Otherwise some may be rough: those of kept vectors that nobody will look at.
            self._keep(work)
        rows = np.array([work.scores[pair] for pair in work.pairs], dtype=np.float64).reshape(len(work.pairs), 1)
        return BackendScores(rows, work.readings, _usage(work, answers))

    def _compared_with(
        self,
        query: _Rows,
        pairs: Sequence[_Pair],
        vectors: Mapping[Hashable, _Rows],
        work: _Work,
        options: ScoreOptions,
    ) -> npt.NDArray[np.float64]:
        """Return the scores of one query's pairs, of documents that ran and of those that are kept."""
        found = np.zeros(len(pairs))
        ran = [place for place, pair in enumerate(pairs) if pair.document in vectors]
        joined, lengths = joined_vectors([vectors[pairs[place].document] for place in ran], width=query.shape[1])
        found[ran] = maxsim(query, joined, lengths, is_mean=self.model.late.is_mean)
        if self.kept is None or len(ran) == len(pairs):
            return found
        others = [place for place, pair in enumerate(pairs) if pair.document not in vectors]
        windows = [work.kept[pairs[place].document] for place in others]
        is_first = not ran and all(one.n_inputs <= 1 for one in work.readings)
        found[others] = self.kept.maxsim(query, windows, options, is_first=is_first)
        return found

    def _work(self, pairs: Pairs, *, keeps_texts: bool = True) -> _Work:
        start_s = time.perf_counter()
        queries = list(dict.fromkeys(query for query, _ in pairs))
        query_of = dict(zip(queries, self.model.inputs.queries(queries), strict=True))
        read = self._read([document for _, document in pairs], keeps_texts=keeps_texts)
        texts: dict[Hashable, LateText] = {}
        kept: dict[Hashable, KeptWindow] = {}
        inputs = []
        for query, document in pairs:
            one = read[document]
            for window in one.windows:
                pair = _Pair(query_of[query].key, window if isinstance(window, KeptWindow) else window.key)
                texts[pair.query] = query_of[query]
                if isinstance(window, KeptWindow):
                    kept[pair.document] = window
                else:
                    texts[pair.document] = window
                inputs.append(pair)
        scores = self._looked_up(dict.fromkeys(inputs))
        missing = [one for one in dict.fromkeys(inputs) if one not in scores]
        keys = [*dict.fromkeys(one.query for one in missing), *(one.document for one in missing)]
        return _Work(
            readings=[read[document] for _, document in pairs],
            pairs=inputs,
            missing=missing,
            texts={key: texts[key] for key in keys if key in texts},
            kept=kept,
            scores=scores,
            tokenize_s=time.perf_counter() - start_s,
        )

    def _read(
        self, documents: Sequence[str | None], *, keeps_texts: bool
    ) -> dict[str | None, LateDocument | KeptDocument]:
        read: dict[str | None, LateDocument | KeptDocument] = {}
        different = list(dict.fromkeys(documents))
        if self.kept is not None:
            read.update(self.kept.found(different))
            different = [text for text in different if text not in read]
        made = self.model.inputs.documents(different)
        read.update(zip(different, made if keeps_texts else [one.without_texts() for one in made], strict=True))
        return read

    def _looked_up(self, pairs: dict[_Pair, None]) -> dict[_Pair, float]:
        if self._known is None:
            return {}
        found = ((one, self._known.cache.get(self._known.model, None, one)) for one in pairs)
        return {one: float(row[0]) for one, row in found if row is not None}

    def _keep(self, work: _Work) -> None:
        if self._known is not None:
            for one in work.missing:
                self._known.cache.put(self._known.model, None, one, np.array([work.scores[one]]))

    def _to_match(self, query: str, document: str) -> tuple[tuple[LateText, LateDocument], float]:
        start_s = time.perf_counter()
        (question,), (read,) = self.model.inputs.queries([query]), self.model.inputs.documents([document])
        return (question, read), time.perf_counter() - start_s

    def _matched(
        self, queue: QueuedVectors, answers: Sequence[Answer], read: LateDocument, tokenize_s: float
    ) -> TokenMatches:
        texts = queue.texts
        query, *documents = queue.vectors(answers)
        is_mean = self.model.late.is_mean
        joined, lengths = joined_vectors(documents, width=query.shape[1])
        scores = maxsim(query, joined, lengths, is_mean=is_mean)
        # The window that counts alone, whatever the strategy: one picture shows one text.
        best = int(scores.argmax())
        pair = texts[0], texts[1 + best]
        share = 1.0 / len(query) if is_mean else 1.0
        matches = token_matches(self.model, pair, (query, documents[best]), share=share)
        usage = usage_of_all(answers, [one.input for one in texts], tokenize_s=tokenize_s)
        return TokenMatches(
            matches=matches,
            score=float(scores[best]),
            window=read.span(best),
            usage=usage,
            truncated=read.truncated,
        )


def _usage(work: _Work, answers: Sequence[Answer]) -> CallUsage:
    """Return what a call took; its inputs are pairs of a query with an input of a document."""
    ran = usage_of_all(answers, [one.input for one in work.texts.values()], tokenize_s=work.tokenize_s)
    return replace(ran, inputs=len(work.pairs), reused_inputs=len(work.pairs) - len(work.missing))
