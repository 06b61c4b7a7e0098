"""The dev set: what quality is measured on before, during and after a training, with the measures of evaluation."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from rerank_plugins.checks.optional import import_extra
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.evaluation.checks import usable_dataset
from rerank_plugins.evaluation.dataset import Dataset, Document
from rerank_plugins.evaluation.first_stage import retrieve
from rerank_plugins.evaluation.formats import open_dataset
from rerank_plugins.evaluation.measures import Evaluation, evaluate, parse_measures
from rerank_plugins.evaluation.run import Run
from rerank_plugins.retrieval import BM25Index
from rerank_plugins.training.data.records import TrainingRecord
from rerank_plugins.training.settings_common import CommonDataSettings

__all__ = ["MEASURES", "DevSet", "dev_set", "held_out_dataset", "keep_sets"]

MEASURES = ("nDCG@10", "MRR@10", "hit@5")
"""What is always measured."""


@dataclass(frozen=True, slots=True, eq=False)
class DevSet:
    """Queries with candidates to rank, and which of these are right.

    Attributes:
        dataset: Texts and judgements.
        candidates: Query id to the ids of the documents to rank.
        measures: Names of the measures.
    """

    dataset: Dataset
    candidates: Mapping[str, tuple[str, ...]]
    measures: tuple[str, ...]

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """All (query, text) pairs, query by query."""
        texts, queries = self.dataset.texts, self.dataset.queries
        return [(queries[query_id], texts[one]) for query_id, listed in self.candidates.items() for one in listed]

    @property
    def digest(self) -> str:
        """SHA-256 of all pairs and judgements, in hexadecimal."""
        qrels = {query_id: dict(grades) for query_id, grades in self.dataset.qrels.items()}
        return hashlib.sha256(json.dumps([self.pairs, qrels]).encode()).hexdigest()

    def measured(self, scores: Sequence[float]) -> Evaluation:
        """Return the measures of a model's scores.

        Args:
            scores: One for each of ``pairs``.

        Raises:
            InvalidInputError: A score is NaN.
        """
        return evaluate(self.run(scores), self.dataset.qrels, measures=parse_measures(self.measures))

    def run(self, scores: Sequence[float]) -> Run:
        """Return scores, one for each of ``pairs``, by query and document."""
        left = iter(scores)
        return {query_id: {one: next(left) for one in listed} for query_id, listed in self.candidates.items()}


def dev_set(data: CommonDataSettings, held_out: Sequence[TrainingRecord], *, metric: str) -> DevSet | None:
    """Return the dev set of a run; None if it has none.

    Args:
        data: Names it.
        held_out: What was held out of the training data.
        metric: A measure that is needed beside the usual ones.

    Raises:
        InvalidInputError: The data cannot be read, nothing in it can be measured, or there is no such measure.
        MissingExtraError: What measures is not installed.
    """
    if data.dev_data is not None:
        dataset = usable_dataset(open_dataset(data.dev_data))
    elif held_out:
        dataset = held_out_dataset(held_out)
    else:
        return None
    return _with_candidates(dataset, top_k=data.dev_top_k, metric=metric)


def keep_sets(data: CommonDataSettings, *, metric: str) -> tuple[DevSet, ...]:
    """Return the sets that the model shall stay good at.

    Args:
        data: Names them.
        metric: A measure that is needed beside the usual ones.

    Raises:
        InvalidInputError: As for :func:`dev_set`.
        MissingExtraError: Likewise.
    """
    datasets = (_some_queries(usable_dataset(open_dataset(one)), data.keep_queries) for one in data.keep_data)
    return tuple(_with_candidates(one, top_k=data.dev_top_k, metric=metric) for one in datasets)


def _some_queries(dataset: Dataset, n_queries: int) -> Dataset:
    """Return a dataset with some of its queries, the same in every run: those whose texts have the lowest hashes."""
    chosen = set(sorted(dataset.queries, key=lambda one: _digest(dataset.queries[one]))[:n_queries])
    kept = [query_id for query_id in dataset.queries if query_id in chosen]
    return replace(
        dataset,
        queries={one: dataset.queries[one] for one in kept},
        qrels={one: dataset.qrels[one] for one in kept},
        candidates={one: dataset.candidates[one] for one in kept if one in dataset.candidates},
    )


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _with_candidates(dataset: Dataset, *, top_k: int, metric: str) -> DevSet:
    measures = tuple(dict.fromkeys((*MEASURES, metric)))
    parse_measures(measures)
    candidates = dict(dataset.candidates)
    missing = {query_id: text for query_id, text in dataset.queries.items() if query_id not in candidates}
    if missing:
        import_extra("bm25s", extra="train")
        found = retrieve(BM25Index(dataset.texts), missing, top_k=top_k).run
        candidates |= {query_id: tuple(scores) for query_id, scores in found.items()}
    if not any(candidates.values()):
        msg = f"dev data {dataset.name!r} has no candidate to rank for any query; is its corpus empty?"
        raise InvalidInputError(msg)
    return DevSet(dataset, candidates, measures)


def held_out_dataset(records: Sequence[TrainingRecord]) -> Dataset:
    """Return training rows as a dataset: a query's own texts are its candidates; a text that answers it counts 1."""
    ids: dict[str, str] = {}
    judged: dict[str, dict[str, int]] = {}
    for record in records:
        grades = judged.setdefault(record.query, {})
        for grade, texts in ((1, record.pos), (0, record.neg)):
            for text in texts:
                name = ids.setdefault(text, f"d{len(ids)}")
                grades[name] = max(grade, grades.get(name, 0))
    qrels = {f"q{number}": grades for number, grades in enumerate(judged.values())}
    return Dataset(
        name="held-out queries",
        documents={name: Document(text) for text, name in ids.items()},
        queries={f"q{number}": query for number, query in enumerate(judged)},
        qrels=qrels,
        candidates={query_id: tuple(grades) for query_id, grades in qrels.items()},
    )
