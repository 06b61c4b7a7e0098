"""Records of what has documents, queries and judgements: folders in BEIR layout, LlamaIndex's JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from rerank_plugins.errors import InvalidInputError
from rerank_plugins.evaluation.dataset import (
    Document,
    Qrels,
    find_qrels,
    numbered_lines,
    read_candidates,
    read_entries,
    read_qrels,
)
from rerank_plugins.evaluation.formats import read_finetune_json
from rerank_plugins.training.data.formats import RowOptions, report_grades
from rerank_plugins.training.data.items import Item
from rerank_plugins.training.data.joining import Report
from rerank_plugins.training.data.records import TrainingRecord

__all__ = ["beir_items", "finetune_items"]


_TITLES = "titles, which stand in front of their texts now"
_UNJUDGED = "documents of the corpus that no query names"
_CANDIDATES = "candidates without a judgement, which count as negatives"


def beir_items(folder: Path, *, split: str | None, options: RowOptions, report: Report) -> Iterator[Item]:
    """Yield a record for each judged query of a folder in BEIR layout.

    Documents with ``positive_from`` or more are positives, the other judged ones negatives, and so are those in
    ``candidates.SPLIT.jsonl`` that are not judged, as reranking tasks count them.

    Memory: the texts that judgements or candidates name, not the whole corpus.

    Args:
        folder: The folder.
        split: Name of the judgements; None for the usual ones.
        options: What counts as a positive.
        report: Called with each thing that a record cannot hold.

    Raises:
        InvalidInputError: A file is missing or malformed, or judgements name what is not there.
    """
    qrels_file = find_qrels(folder, split)
    qrels = read_qrels(qrels_file)
    candidates = read_candidates(folder, qrels, split=qrels_file.stem)
    wanted = {key for listed in (*qrels.values(), *candidates.values()) for key in listed}
    corpus = read_entries(folder / "corpus.jsonl", wanted=wanted)
    queries = {key: query.text for key, query in read_entries(folder / "queries.jsonl", wanted=qrels).items()}
    texts = {key: _text(document, report) for key, document in corpus.items()}
    _check_there(folder, "queries", list(qrels), queries)
    _check_there(folder, "documents", sorted(wanted), texts)
    for _ in range(sum(1 for _ in numbered_lines(folder / "corpus.jsonl")) - len(corpus)):
        report(_UNJUDGED)
    yield from _judged_items(f"{folder}#query", qrels, queries, texts, candidates, options, report)


def finetune_items(path: Path, *, options: RowOptions, report: Report) -> Iterator[Item]:
    """Yield a record for each query of LlamaIndex's ``EmbeddingQAFinetuneDataset``; it knows no negatives.

    Memory: the whole file, which is one JSON object.

    Args:
        path: The file.
        options: What counts as a positive.
        report: As for :func:`beir_items`.

    Raises:
        InvalidInputError: The file is something else, or names documents that it does not have.
    """
    dataset = read_finetune_json(path)
    named = [key for judged in dataset.qrels.values() for key in judged]
    _check_there(path, "documents", named, dataset.documents)
    texts = {key: _text(document, report) for key, document in dataset.documents.items()}
    yield from _judged_items(f"{path}#query", dataset.qrels, dataset.queries, texts, {}, options, report)


def _text(document: Document, report: Report) -> str:
    """Return what models read; a text without a title is as it stands, so that what was written comes back."""
    if document.title:
        report(_TITLES)
    return document.contents if document.title else document.text


def _judged_items(
    source: str,
    qrels: Qrels,
    queries: Mapping[str, str],
    texts: Mapping[str, str],
    candidates: Mapping[str, tuple[str, ...]],
    options: RowOptions,
    report: Report,
) -> Iterator[Item]:
    for number, (query_id, judged) in enumerate(qrels.items(), start=1):
        grades = dict.fromkeys(candidates.get(query_id, ()), 0) | dict(judged)
        for _ in range(len(grades) - len(judged)):
            report(_CANDIDATES)
        report_grades(judged.values(), options, report)
        pos = tuple(key for key, grade in grades.items() if grade >= options.positive_from)
        neg = tuple(key for key, grade in grades.items() if grade < options.positive_from)
        record = TrainingRecord(
            query=queries[query_id],
            pos=tuple(texts[key] for key in pos),
            neg=tuple(texts[key] for key in neg),
            pos_scores=tuple(float(grades[key]) for key in pos) if options.keep_labels else None,
            neg_scores=tuple(float(grades[key]) for key in neg) if options.keep_labels else None,
            query_id=query_id,
            pos_ids=pos,
            neg_ids=neg,
        )
        yield Item(source, number, record)


def _check_there(place: Path, what: str, named: list[str], there: Mapping[str, object]) -> None:
    absent = [key for key in named if key not in there]
    if absent:
        msg = f"{place}: {len(absent)} judged {what} are not there, the first is {absent[0]!r}; add them, or judge less"
        raise InvalidInputError(msg)
