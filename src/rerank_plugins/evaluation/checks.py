"""Checks that a dataset can be measured, and reports everything that is wrong or left out."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Literal, get_args

from rerank_plugins.checks.arguments import checked_call
from rerank_plugins.checks.kinds import Count
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.evaluation.dataset import Dataset

__all__ = ["OnBad", "sample_queries", "usable_dataset"]

logger = logging.getLogger(__name__)

OnBad = Literal["raise", "drop"]
"""What happens to entries that cannot be measured: an error, or they are left out with a note."""

_FEWEST_TOLD = 10
"""Queries whose candidates are sorted by label before that is told: of a few it may be luck."""


@checked_call()
def usable_dataset(dataset: Dataset, *, on_bad: OnBad = "raise") -> Dataset:
    """Return the dataset with only those queries and judgements that can be measured.

    Judgements and candidates of documents that are not in the corpus, judgements of queries that are not there, and
    blank queries are mistakes. They raise an error, or with ``drop`` are left out. A query without a relevant document
    is no mistake, but every system would score 0 on it, so it is always left out. All of this is recorded in the
    dataset's notes and logged, and so is how many queries have no candidates where others have some, and that the
    candidates of ten queries or more all stand relevant ones first, as no first stage has them.

    Args:
        dataset: Any dataset.
        on_bad: ``raise`` or ``drop``.

    Raises:
        InvalidInputError: There is a mistake and ``on_bad`` is ``raise``, or nothing is left to measure.
    """
    if on_bad not in get_args(OnBad):
        msg = f"on_bad must be 'raise' or 'drop', got {on_bad!r}"
        raise InvalidInputError(msg)
    notes = list(dataset.notes)
    for mistake in _mistakes(dataset):
        if on_bad == "raise":
            msg = f"{dataset.name}: {mistake}. Repair the files, or leave these out with on_bad='drop' (--drop-bad)"
            raise InvalidInputError(msg)
        notes.append(f"left out: {mistake}")
    documents = dataset.documents
    qrels = {
        query_id: {one: grade for one, grade in dataset.qrels.get(query_id, {}).items() if one in documents}
        for query_id, text in dataset.queries.items()
        if text.strip()
    }
    answered = {query_id: judged for query_id, judged in qrels.items() if any(grade > 0 for grade in judged.values())}
    if len(answered) < len(qrels):
        notes.append(f"left out: {len(qrels) - len(answered)} of {len(qrels)} queries without a relevant document")
    if not answered:
        msg = f"{dataset.name}: no query has a relevant document in the corpus, so there is nothing to measure"
        raise InvalidInputError(msg)
    told = [*_without_candidates(dataset, list(answered)), *_relevant_first(dataset, list(answered))]
    notes += [note for note in told if note not in notes]
    for note in notes[len(dataset.notes) :]:
        logger.warning("%s: %s", dataset.name, note)
    candidates = {
        query_id: tuple(document_id for document_id in listed if document_id in documents)
        for query_id, listed in dataset.candidates.items()
        if query_id in answered
    }
    return replace(
        dataset,
        queries={query_id: dataset.queries[query_id] for query_id in answered},
        qrels=answered,
        candidates=candidates,
        notes=tuple(notes),
    )


@checked_call()
def sample_queries(dataset: Dataset, *, n_queries: Count | None, seed: int) -> Dataset:
    """Return the dataset with a random sample of its queries, in their own order, and a note about it.

    Args:
        dataset: Any dataset.
        n_queries: Queries kept at most; None keeps all.
        seed: Equal seeds choose equal queries.
    """
    if n_queries is None or n_queries >= len(dataset.queries):
        return dataset
    chosen = set(random.Random(seed).sample(sorted(dataset.queries), n_queries))  # noqa: S311 - no secret
    note = f"{n_queries} of {len(dataset.queries)} queries, sampled with seed {seed}"
    return replace(
        dataset,
        queries={query_id: text for query_id, text in dataset.queries.items() if query_id in chosen},
        qrels={query_id: judged for query_id, judged in dataset.qrels.items() if query_id in chosen},
        candidates={query_id: listed for query_id, listed in dataset.candidates.items() if query_id in chosen},
        notes=(*dataset.notes, note),
    )


def _without_candidates(dataset: Dataset, query_ids: list[str]) -> list[str]:
    """Return a note about queries without candidates, where others have some; an empty list is one of nothing found."""
    without = [query_id for query_id in query_ids if query_id not in dataset.candidates]
    if not dataset.candidates or not without:
        return []
    note = (
        f"{len(without)} of {len(query_ids)} queries have no candidates, the first is {without[0]!r}: where the "
        "candidates are ranked, every system scores 0 on them"
    )
    return [note]


def _relevant_first(dataset: Dataset, query_ids: list[str]) -> list[str]:
    """Return a note about candidates that were sorted by their labels, as lists of positives and negatives are."""
    relevant = {query_id: dataset.relevant_ids(query_id) for query_id in query_ids}
    found = [[one in ids for one in dataset.candidates.get(query_id, ())] for query_id, ids in relevant.items()]
    mixed = [labels for labels in found if len(set(labels)) > 1]
    if len(mixed) < _FEWEST_TOLD or any(labels != sorted(labels, reverse=True) for labels in mixed):
        return []
    note = (
        f"the candidates of all {len(mixed)} queries stand relevant ones first, which gives the labels away: "
        "candidates without a reranker, and whatever reads only the first of them, measure too high. Rank whole lists"
    )
    return [note]


def _mistakes(dataset: Dataset) -> list[str]:
    found = []
    for what, by_query in (("judgements", dataset.qrels), ("candidates", dataset.candidates)):
        absent = _absent(by_query, dataset)
        if absent:
            query_id, document_id = absent[0]
            found.append(
                f"{len(absent)} {what} name documents that the corpus does not have, "
                f"the first is document {document_id!r} of query {query_id!r}"
            )
    lost = [query_id for query_id in dataset.qrels if query_id not in dataset.queries]
    if lost:
        found.append(f"{len(lost)} judged queries have no text, the first is {lost[0]!r}")
    blank = [query_id for query_id, text in dataset.queries.items() if not text.strip()]
    if blank:
        found.append(f"{len(blank)} queries are blank, the first is {blank[0]!r}")
    return found


def _absent(by_query: Mapping[str, Iterable[str]], dataset: Dataset) -> list[tuple[str, str]]:
    return [
        (query_id, document_id)
        for query_id, listed in by_query.items()
        for document_id in listed
        if document_id not in dataset.documents
    ]
