"""The bundled sample: small real retrieval sets under permissive licences (``sample/NOTICE.md``)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from rerank_plugins.catalog import ModelSpec
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.evaluation import Dataset, pool_datasets, read_dataset

__all__ = ["SAMPLE_FOLDER", "SampleSet", "english_sample", "load_samples", "reads"]

SAMPLE_FOLDER = Path(__file__).with_name("sample")


@dataclass(frozen=True, slots=True)
class SampleSet:
    """One bundled set: its folder's name, its language's code and name, and what it holds."""

    name: str
    code: str
    language: str
    content: str


SAMPLE_SETS = (
    SampleSet("tatqa", "en", "English", "financial question to report paragraph"),
    SampleSet("scifact", "en", "English", "claim to scientific abstract"),
    SampleSet("medquad", "en", "English", "health question to answer"),
    SampleSet("t2ranking_sample", "zh", "Chinese", "web query to passage"),
)


def reads(spec: ModelSpec, code: str) -> bool:
    """Return whether a model reads a language, as far as its spec says; True if it says nothing."""
    return not spec.languages or "multilingual" in spec.languages or code in spec.languages


def load_samples(
    reranker: ModelSpec, embedder: ModelSpec, *, max_queries: int | None = None, language: str | None = None
) -> tuple[list[Dataset], list[str]]:
    """Return the sets in languages that both models read, and a sentence about each one left out.

    Args:
        reranker: What is known about the reranker.
        embedder: What is known about the embedder.
        max_queries: Queries per set at most; None takes all.
        language: Code of the only language to take; None takes all.

    Raises:
        InvalidInputError: No set is in a language of both, or in the one that is asked for.
    """
    chosen: list[Dataset] = []
    left_out: list[str] = []
    asked = [sample for sample in SAMPLE_SETS if language in (None, sample.code)]
    for sample in asked:
        blind = [f"{spec.kind} {spec.id}" for spec in (reranker, embedder) if not reads(spec, sample.code)]
        if blind:
            left_out.append(f"{sample.name} ({sample.language}) is left out: {' and '.join(blind)} cannot read it.")
        else:
            chosen.append(_first(read_dataset(SAMPLE_FOLDER / sample.name), max_queries))
    if not chosen:
        msg = f"the sample is in English and Chinese, and nothing of it is left for these models. {' '.join(left_out)}"
        raise InvalidInputError(msg)
    return chosen, left_out


def english_sample() -> Dataset:
    """Return the English sets as one: the data set ``demo`` of ``rerank-plugins evaluate``."""
    english = [read_dataset(SAMPLE_FOLDER / sample.name) for sample in SAMPLE_SETS if sample.code == "en"]
    return pool_datasets(english, name="demo")


def _first(dataset: Dataset, n_queries: int | None) -> Dataset:
    kept = dict(list(dataset.queries.items())[:n_queries])
    return replace(dataset, queries=kept, qrels={query_id: dataset.qrels[query_id] for query_id in kept})
