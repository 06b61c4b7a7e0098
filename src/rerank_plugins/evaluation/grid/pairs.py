"""Rerank scores of pairs. Each pair is scored once, for all systems that need it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

from rerank_plugins.errors import InvalidInputError
from rerank_plugins.evaluation.dataset import Dataset
from rerank_plugins.evaluation.grid.first_stages import chunks
from rerank_plugins.evaluation.grid.identity import corpus_key, key_of, model_key, query_key
from rerank_plugins.evaluation.grid.plan import ModelChoice
from rerank_plugins.evaluation.grid.store import ChunkLog, can_be_kept
from rerank_plugins.evaluation.run import Run
from rerank_plugins.reranker import Reranker

__all__ = ["PairScores", "Slot"]

_QUERIES_PER_CHUNK = 4


@dataclass(frozen=True, slots=True)
class Slot:
    """A list of candidates whose reranking is timed.

    Attributes:
        stage: The first stage's name.
        key: The key that the time is stored under: the stage, independent of its display name.
        top_k: How deep it is reranked.
    """

    stage: str
    key: str
    top_k: int


class PairScores:
    """The scores of one reranker on one corpus, stored as they are made.

    Args:
        choice: The reranker.
        dataset: The corpus and queries.
        folder: The work folder.
        device: Where the reranker runs; times and the last bits of scores depend on it.
    """

    def __init__(self, choice: ModelChoice, dataset: Dataset, folder: Path, *, device: str | None = None) -> None:
        self._dataset, self._texts = dataset, dataset.texts
        by_text: dict[str, str] = {}
        # Equal texts share one score: scored in two batches they could differ in the last bit and swap ranks.
        self._same = {document_id: by_text.setdefault(text, document_id) for document_id, text in self._texts.items()}
        key = key_of(corpus_key(self._texts), model_key(choice, kind="reranker", device=device))
        self._log = ChunkLog(folder / "pairs" / key)
        self._scores: dict[str, dict[str, float]] = {}
        self._timings: dict[tuple[str, str, int], tuple[float, int]] = {}
        for entry in self._log:
            self._take(entry)

    def complete(
        self,
        runs: Mapping[str, Run],
        *,
        slots: Sequence[Slot],
        depth: int,
        reranker: Callable[[], Reranker],
        advance: Callable[[int], object],
    ) -> None:
        """Score the pairs of the first ``depth`` documents of each run that have no score yet.

        For each query one slot, in turn, is reranked first, as a user's call would be, and timed; the documents
        that only other stages found come after. So every slot gets its share of timed queries, and no pair
        is scored for the time alone.

        Args:
            runs: First stage's name to what it found, best first.
            slots: Which lists are timed; empty times none.
            depth: Documents of each run that are scored.
            reranker: Opens the model; not called when nothing is missing.
            advance: Called with the number of queries after each chunk.
        """
        turns = dict(zip(self._dataset.queries, cycle(slots or (None,))))
        todo = [
            query_id for query_id, slot in turns.items() if self._missing(query_id, runs, slot, depth) != (None, [])
        ]
        advance(len(turns) - len(todo))
        for chunk in chunks(todo, _QUERIES_PER_CHUNK):
            entries = []
            for query_id in chunk:
                # Checked again, because an equal query may have been scored meanwhile.
                timed, rest = self._missing(query_id, runs, turns[query_id], depth)
                entry, is_kept = self._scored(query_id, timed, rest, turns[query_id], reranker())
                self._take(entry)
                # What came of failed calls is made again by the next run.
                entries += [entry] if is_kept else []
            if entries:
                self._log.append(entries)
            advance(len(chunk))

    def reranked(self, run: Run, *, top_k: int) -> dict[str, dict[str, float]]:
        """Return the first ``top_k`` documents of each query in the reranker's order; ties keep the run's.

        Raises:
            InvalidInputError: A pair was never scored.
        """
        return {query_id: self._ordered(query_id, list(found)[:top_k]) for query_id, found in run.items()}

    def timings(self, slot: Slot) -> dict[str, tuple[float, int]]:
        """Return query id to milliseconds and pairs, of the queries that this slot was timed on."""
        found = {}
        for query_id, text in self._dataset.queries.items():
            timing = self._timings.get((query_key(text), slot.key, slot.top_k))
            if timing is not None:
                found[query_id] = timing
        return found

    def _ordered(self, query_id: str, document_ids: list[str]) -> dict[str, float]:
        scores = self._scores.get(query_key(self._dataset.queries[query_id]), {})
        unscored = next((one for one in document_ids if self._same[one] not in scores), None)
        if unscored is not None:
            msg = f"document {unscored!r} was never scored for query {query_id!r}; call complete() with this run first"
            raise InvalidInputError(msg)
        by_id = {one: scores[self._same[one]] for one in document_ids}
        return dict(sorted(by_id.items(), key=lambda item: -item[1]))

    def _missing(
        self, query_id: str, runs: Mapping[str, Run], slot: Slot | None, depth: int
    ) -> tuple[list[str] | None, list[str]]:
        key = query_key(self._dataset.queries[query_id])
        known = self._scores.get(key, {})
        timed = None
        if slot is not None and (key, slot.key, slot.top_k) not in self._timings:
            timed = list(runs[slot.stage][query_id])[: slot.top_k]
        covered = {*known, *(self._same[one] for one in timed or ())}
        found = (self._same[one] for run in runs.values() for one in list(run[query_id])[:depth])
        return timed, [one for one in dict.fromkeys(found) if one not in covered]

    def _scored(
        self, query_id: str, timed: list[str] | None, rest: list[str], slot: Slot | None, reranker: Reranker
    ) -> tuple[dict[str, Any], bool]:
        """Return the scores of a query's documents, and whether they can be kept."""
        query = self._dataset.queries[query_id]
        entry: dict[str, Any] = {"query": query_key(query)}
        scores: dict[str, float] = {}
        is_kept = True
        if timed is not None and slot is not None:
            start_s = time.perf_counter()
            found, is_kept = self._rank(reranker, query, timed)
            scores.update(found)
            ms = (time.perf_counter() - start_s) * 1e3
            entry.update(stage=slot.key, top_k=slot.top_k, ms=ms, n_pairs=len(timed))
        if rest:
            found, is_whole = self._rank(reranker, query, rest)
            scores.update(found)
            is_kept = is_kept and is_whole
        entry["scores"] = scores
        return entry, is_kept

    def _rank(self, reranker: Reranker, query: str, document_ids: list[str]) -> tuple[dict[str, float], bool]:
        ranked = reranker.rank(query, [self._texts[document_id] for document_id in document_ids])
        return {self._same[document_ids[one.index]]: one.score for one in ranked}, can_be_kept(ranked)

    def _take(self, entry: Mapping[str, Any]) -> None:
        self._scores.setdefault(entry["query"], {}).update(entry["scores"])
        if "ms" in entry:
            self._timings[entry["query"], entry["stage"], entry["top_k"]] = (entry["ms"], entry["n_pairs"])
