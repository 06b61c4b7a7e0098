"""Documents whose token vectors are kept: found by their text, compared without running the model on them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from functools import partial
from time import perf_counter

import numpy as np
import numpy.typing as npt

from rerank_plugins.backends.protocol import ScoreOptions
from rerank_plugins.backends.token_vectors import QueuedVectors, TokenVectorModel
from rerank_plugins.embedding.kept.files import KeptDocument, KeptWindow
from rerank_plugins.embedding.kept.header import StoreIdentity
from rerank_plugins.embedding.kept.shards import KeptText, digest_of, rounded_rows
from rerank_plugins.embedding.kept.store import TokenVectorStore, files_of
from rerank_plugins.embedding.maxsim import NO_VECTORS, maxsim
from rerank_plugins.engine.calls import Answer, usage_of_all
from rerank_plugins.engine.deadline import Deadline
from rerank_plugins.errors import VectorStoreError
from rerank_plugins.system.instructions import multiplies_int8
from rerank_plugins.text.late_inputs import LateDocument, LateText
from rerank_plugins.types import CallUsage

__all__ = ["KeptVectors"]

_Rows = npt.NDArray[np.float32]
_Scores = npt.NDArray[np.float64]

_SAMPLE = "A giant panda eats bamboo, 12.5 kg a day."
_EXACT, _APPROXIMATE = 32, 1_024
"""Inputs that are compared at once: 3 MB of float32, which stay in a processor's cache, or 24 MB of int8, at 180 tokens
of 128 numbers."""
_LEAST_EXACT, _EXACT_PER_RESULT = 50, 5
"""How many documents are compared exactly after a first look at all, at least, and for each that is asked for."""


@dataclass(frozen=True, slots=True, eq=False)
class _ToKeep:
    """Documents that are not blank, their inputs one after the other, and the seconds that these took."""

    documents: Sequence[tuple[str, LateDocument]]
    windows: Sequence[LateText]
    tokenize_s: float


class KeptVectors:
    """A store beside the model that made it. Safe from any number of threads.

    Args:
        store: The vectors.
        model: Makes those of documents and queries that are not there.
        name: The model's name, for people.
        deadline: When to give up asking the model for the vectors that it is known by; None waits.

    Attributes:
        identity: What tells the model's vectors from those of others.

    Raises:
        VectorStoreError: They come from another model, or documents were read in another way.
        ScoringError: The model cannot be run.
        DeadlineExceededError: The time is over.
    """

    def __init__(
        self, store: TokenVectorStore, model: TokenVectorModel, *, name: str, deadline: Deadline | None = None
    ) -> None:
        self.store, self.files, self._model = store, files_of(store), model
        sample = model.inputs.cut_documents([_SAMPLE])
        with model.queued(sample) as queue:
            (rows,) = queue.vectors(queue.wait(deadline or Deadline(None)))
        self.identity = StoreIdentity(
            model=name, settings=model.inputs.settings, sample=rows, weights=model.weights_key
        )
        self._checked: object = None
        self._refresh()

    def on(self, model: TokenVectorModel) -> KeptVectors:
        """Return the same beside another share in the same model."""
        made = copy(self)
        made._model = model
        return made

    def _refresh(self) -> None:
        self.files.refresh()
        if self.files.header is not self._checked:
            self.files.check(self.identity)
            self._checked = self.files.header

    def found(self, texts: Iterable[str | None]) -> dict[str, KeptDocument]:
        """Return where the vectors are of those texts that are kept, by whomever.

        Raises:
            VectorStoreError: What others have added since cannot be read, or comes from another model.
        """
        self._refresh()
        places = ((text, self.files.find(text)) for text in dict.fromkeys(texts) if text is not None)
        return {text: place for text, place in places if place is not None}

    def missing(self, texts: Sequence[str]) -> list[str]:
        """Return the different texts that are not kept yet; raises as :meth:`found`."""
        there = self.found(texts)
        return [text for text in dict.fromkeys(texts) if text not in there]

    def rows_of(self, texts: Sequence[str]) -> list[_Rows]:
        """Return the vectors of each text, as exactly as they are kept; none for a text that is not kept.

        Returns:
            Shape of each: (tokens of all its inputs, dim), float32.
        """
        inputs = [() if found is None else found.windows for found in map(self.files.find, texts)]
        lengths = [sum(window.n_vectors for window in windows) for windows in inputs]
        if not any(lengths):
            return [np.zeros((0, 0), dtype=np.float32) for _ in texts]
        rows = self.files.rows([window for windows in inputs for window in windows])
        return np.split(rows, np.cumsum(lengths)[:-1])

    def add(self, texts: Sequence[str], deadline: Deadline) -> tuple[int, CallUsage]:
        """Keep the vectors of different texts as one file; returns how many had some, and what it took.

        Args:
            texts: Documents; blank ones have no vectors and are left out.
            deadline: When to give up; nothing is kept then.
        """
        work = self._work(texts)
        with self._model.queued(work.windows) as queue:
            return self._written(work, queue, queue.wait(deadline))

    async def aadd(self, texts: Sequence[str], deadline: Deadline) -> tuple[int, CallUsage]:
        """Do what :meth:`add` does, without blocking the event loop: threads read and write, the engine is awaited."""
        work = await asyncio.to_thread(self._work, texts)
        with self._model.queued(work.windows) as queue:
            answers = await queue.await_all(deadline)
        return await asyncio.to_thread(self._written, work, queue, answers)

    def _work(self, texts: Sequence[str]) -> _ToKeep:
        start_s = perf_counter()
        read = self._model.inputs.documents(texts)
        pairs = [(text, document) for text, document in zip(texts, read, strict=True) if document.windows]
        windows = [window for _, document in pairs for window in document.windows]
        return _ToKeep(pairs, windows, perf_counter() - start_s)

    def _written(self, work: _ToKeep, queue: QueuedVectors, answers: Sequence[Answer]) -> tuple[int, CallUsage]:
        vectors = iter(queue.vectors(answers))
        usage = usage_of_all(answers, [window.input for window in work.windows], tokenize_s=work.tokenize_s)
        kept = []
        for text, document in work.documents:
            spans = [document.span(place) for place in range(document.n_inputs)]
            ends = [None if span is None else (span.start, span.end) for span in spans]
            rows = [next(vectors) for _ in document.windows]
            kept.append(
                KeptText(
                    digest=digest_of(text), windows=list(zip(rows, ends, strict=True)), truncated=document.truncated
                )
            )
        return self.files.add(kept, self.identity) if kept else 0, usage

    def maxsim(self, query: _Rows, windows: Sequence[KeptWindow], options: ScoreOptions, *, is_first: bool) -> _Scores:
        """Return the score of each input.

        Where only the best ones will be looked at, and the processor multiplies int8 fast, all are compared in int8
        first and the best of those exactly; what is left has its score of the first look, but one below the exact ones
        that are asked for. (Without such instructions that takes seven times as long as comparing all
        exactly did on two AVX2 cores before this was shared out among them.)

        Args:
            query: Shape: (query vectors, dim).
            windows: Inputs of documents.
            options: What the call asks.
            is_first: Whether a document is its first input, so that the best inputs are the best documents.

        Returns:
            Shape: (inputs,).

        Raises:
            VectorStoreError: A score is NaN, which vectors that were whole when they were kept do not give.
        """
        scores = self._scores(query, windows, options, is_first=is_first)
        if np.isnan(scores).any():
            msg = "kept vectors are damaged: a score of theirs is NaN. TokenVectorStore.verify() names their file"
            raise VectorStoreError(msg)
        return scores

    def _scores(self, query: _Rows, windows: Sequence[KeptWindow], options: ScoreOptions, *, is_first: bool) -> _Scores:
        is_mean = self._model.late.is_mean
        top_n = options.top_n
        n_exact = len(windows) if top_n is None or not is_first else max(_LEAST_EXACT, _EXACT_PER_RESULT * top_n)
        if top_n is None or n_exact >= len(windows) or not multiplies_int8():
            return self._exact(query, windows, options, is_mean=is_mean)
        approximate = self._approximate(query, windows, options, is_mean=is_mean)
        # Of equal ones the first, as everywhere.
        best = np.argsort(-approximate, kind="stable")[:n_exact]
        scores = self._exact(query, [windows[place] for place in best], options, is_mean=is_mean)
        least = np.sort(scores)[-top_n]
        found: _Scores = np.minimum(approximate, np.nextafter(least, -np.inf))
        found[best] = scores
        return found

    def _exact(self, query: _Rows, windows: Sequence[KeptWindow], options: ScoreOptions, *, is_mean: bool) -> _Scores:
        # Here, since a store can be looked at without torch.
        from rerank_plugins.embedding.int8_products import products_with
        from rerank_plugins.engine.side_by_side import most_threads, run_parts, shares

        found = np.zeros(len(windows))
        chunks = list(_chunks(windows, size=_EXACT))

        def compare(part: slice) -> None:
            for places, chunk, lengths in chunks[part]:
                options.deadline.check()
                rows = self.files.rows(chunk)
                found[places] = maxsim(query, rows, lengths, is_mean=is_mean, products_with=products_with)

        # As in the first look: torch's own threads would wait for each other after each of these short operations.
        parts = shares([int(lengths.sum()) for _, _, lengths in chunks], most=most_threads())
        run_parts([partial(compare, part) for part in parts])
        return found

    def _approximate(
        self, query: _Rows, windows: Sequence[KeptWindow], options: ScoreOptions, *, is_mean: bool
    ) -> _Scores:
        from rerank_plugins.embedding.int8_products import Int8Query

        rounded = Int8Query(*rounded_rows(query))
        found = np.zeros(len(windows))
        for places, chunk, lengths in _chunks(windows, size=_APPROXIMATE):
            options.deadline.check()
            rows, scales = self.files.rounded(chunk)
            found[places] = rounded.maxsim(rows, scales, lengths, lowest=NO_VECTORS)
        return found / max(len(query), 1) if is_mean else found


def _chunks(
    windows: Sequence[KeptWindow], *, size: int
) -> Iterator[tuple[list[int], list[KeptWindow], npt.NDArray[np.int64]]]:
    """Yield the places of inputs, the inputs and their lengths, in the order in which they lie in the files."""
    order = sorted(range(len(windows)), key=lambda place: (windows[place].shard, windows[place].first))
    for start in range(0, len(order), size):
        places = order[start : start + size]
        chunk = [windows[place] for place in places]
        yield places, chunk, np.array([one.n_vectors for one in chunk], dtype=np.int64)
