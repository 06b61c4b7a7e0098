"""Rerank scores of whole lists, for listwise rerankers: a score counts only beside the others of its list."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from rerank_plugins.backends.leases import spec_of_backend
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.evaluation.dataset import Dataset
from rerank_plugins.evaluation.grid.first_stages import chunks
from rerank_plugins.evaluation.grid.identity import corpus_key, key_of, model_key, query_key
from rerank_plugins.evaluation.grid.pairs import PairScores, Slot
from rerank_plugins.evaluation.grid.plan import ModelChoice
from rerank_plugins.evaluation.grid.store import ChunkLog, can_be_kept
from rerank_plugins.evaluation.run import Run
from rerank_plugins.reranker import Reranker

__all__ = ["ListScores", "RerankScores", "rerank_scores"]

_QUERIES_PER_CHUNK = 4


class RerankScores(Protocol):
    """The scores of one reranker on one corpus, stored as they are made: of pairs or of lists."""

    def complete(
        self,
        runs: Mapping[str, Run],
        *,
        slots: Sequence[Slot],
        depth: int,
        reranker: Callable[[], Reranker],
        advance: Callable[[int], object],
    ) -> None:
        """Score what cells and curves will ask for; see :meth:`PairScores.complete`."""
        ...

    def reranked(self, run: Run, *, top_k: int) -> dict[str, dict[str, float]]:
        """Return the first ``top_k`` documents of each query in the reranker's order."""
        ...

    def timings(self, slot: Slot) -> dict[str, tuple[float, int]]:
        """Return query id to milliseconds and pairs, of the queries that this slot was timed on."""
        ...


def rerank_scores(choice: ModelChoice, dataset: Dataset, folder: Path, *, device: str | None) -> RerankScores:
    """Return the store for the scores of a reranker: of lists if it is listwise, else of pairs.

    Args:
        choice: The reranker.
        dataset: The corpus and queries.
        folder: The work folder.
        device: Where the reranker runs.
    """
    spec = spec_of_backend(choice.model, kind="reranker")
    owner = ListScores if spec is not None and spec.score_scope == "call" else PairScores
    return owner(choice, dataset, folder, device=device)


class ListScores:
    """The scores of a listwise reranker on one corpus. Every list is scored in one call of its own, and timed.

    Args:
        choice: The reranker.
        dataset: The corpus and queries.
        folder: The work folder.
        device: Where the reranker runs; times depend on it.
    """

    def __init__(self, choice: ModelChoice, dataset: Dataset, folder: Path, *, device: str | None = None) -> None:
        self._dataset, self._texts = dataset, dataset.texts
        key = key_of("lists", corpus_key(self._texts), model_key(choice, kind="reranker", device=device))
        self._log = ChunkLog(folder / "lists" / key)
        self._lists: dict[str, dict[str, Any]] = {}
        self._runs: Mapping[str, Run] = {}
        self._reranker: Callable[[], Reranker] | None = None
        for entry in self._log:
            self._lists[entry["list"]] = entry

    def complete(
        self,
        runs: Mapping[str, Run],
        *,
        slots: Sequence[Slot],
        depth: int,
        reranker: Callable[[], Reranker],
        advance: Callable[[int], object],
    ) -> None:
        """Score the lists of the slots, or without slots the first ``depth`` documents of each run.

        Lists that a curve asks for later are scored then.

        Args:
            runs: First stage's name to what it found, best first.
            slots: Which lists cells will ask for.
            depth: Documents of each run where there are no slots.
            reranker: Opens the model; not called when nothing is missing.
            advance: Called with the number of queries after each chunk.
        """
        self._runs, self._reranker = runs, reranker
        wanted = [(slot.stage, slot.top_k) for slot in slots] or [(name, depth) for name in runs]
        for chunk in chunks(list(self._dataset.queries), _QUERIES_PER_CHUNK):
            self._score({name: {one: runs[name][one] for one in chunk} for name in runs}, wanted)
            advance(len(chunk))

    def reranked(self, run: Run, *, top_k: int) -> dict[str, dict[str, float]]:
        """Return the first ``top_k`` documents of each query in the reranker's order, scoring what is missing."""
        self._score({"": run}, [("", top_k)])
        return {query_id: self._ordered(query_id, list(found)[:top_k]) for query_id, found in run.items()}

    def timings(self, slot: Slot) -> dict[str, tuple[float, int]]:
        """Return query id to milliseconds and documents of the lists of a slot."""
        found = {}
        for query_id, documents in self._runs.get(slot.stage, {}).items():
            entry = self._lists.get(self._key(query_id, list(documents)[: slot.top_k]))
            if entry is not None and entry["scores"]:
                found[query_id] = (entry["ms"], len(entry["scores"]))
        return found

    def _score(self, runs: Mapping[str, Run], wanted: Sequence[tuple[str, int]]) -> None:
        """Score the lists that have no scores yet, and store them together."""
        entries = []
        for name, top_k in wanted:
            for query_id, found in runs[name].items():
                documents = list(found)[:top_k]
                key = self._key(query_id, documents)
                if key not in self._lists:
                    self._lists[key], is_kept = self._scored(key, query_id, documents)
                    entries += [self._lists[key]] if is_kept else []
        if entries:
            self._log.append(entries)

    def _scored(self, key: str, query_id: str, documents: Sequence[str]) -> tuple[dict[str, Any], bool]:
        """Return a list with its scores, and whether it is stored: what came of failed calls is asked again."""
        if self._reranker is None:
            msg = f"a list of query {query_id!r} was never scored; call complete() first"
            raise InvalidInputError(msg)
        if not documents:
            return {"list": key, "ms": 0.0, "scores": []}, True
        reranker = self._reranker()
        start_s = time.perf_counter()
        ranked = reranker.rank(self._dataset.queries[query_id], [self._texts[one] for one in documents])
        ms = (time.perf_counter() - start_s) * 1e3
        scores = [[one.index, one.score] for one in ranked]
        return {"list": key, "ms": ms, "scores": scores}, can_be_kept(ranked)

    def _ordered(self, query_id: str, documents: Sequence[str]) -> dict[str, float]:
        scores = self._lists[self._key(query_id, documents)]["scores"]
        return {documents[place]: score for place, score in scores}

    def _key(self, query_id: str, documents: Sequence[str]) -> str:
        return key_of(query_key(self._dataset.queries[query_id]), list(documents))
