"""Retrieval datasets, and how a folder in BEIR layout becomes one.

A dataset is a folder with ``corpus.jsonl`` (``_id``, ``title``, ``text``), ``queries.jsonl`` (``_id``,
``text``) and judgements, either ``qrels/SPLIT.tsv`` or a single ``qrels.tsv``.
"""

from __future__ import annotations

import json
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeGuard

from rerank_plugins.checks.arguments import checked_call, checked_fields
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.system import lines
from rerank_plugins.system.json_keys import without_repetition

__all__ = [
    "Dataset",
    "Document",
    "Qrels",
    "find_qrels",
    "json_object",
    "numbered_lines",
    "pool_datasets",
    "read_candidates",
    "read_dataset",
    "read_entries",
    "read_qrels",
]

Qrels = Mapping[str, Mapping[str, int]]
"""Query id to document id to relevance; 0 is judged and not relevant."""


@checked_fields()
@dataclass(frozen=True, slots=True)
class Document:
    """One entry of a corpus."""

    text: str
    title: str = ""

    @property
    def contents(self) -> str:
        """The text that models read: the title, if there is one, a space, and the text (BEIR's own rule)."""
        return f"{self.title} {self.text}".strip()


@checked_fields()
@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """A corpus, queries, and which documents answer them.

    Attributes:
        name: Short name, for tables.
        documents: Document id to document, in file order.
        queries: Query id to text; only queries that have judgements.
        qrels: The judgements.
        candidates: Query id to the documents that a reranking task gives, in its order; empty for a retrieval task.
        notes: Sentences about what was left out when the dataset was read.
    """

    name: str
    documents: Mapping[str, Document]
    queries: Mapping[str, str]
    qrels: Qrels
    candidates: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def texts(self) -> dict[str, str]:
        """Document id to what models read."""
        return {key: document.contents for key, document in self.documents.items()}

    @checked_call()
    def relevant_ids(self, query_id: str) -> set[str]:
        """Return the ids of the documents judged relevant (above 0) for a query."""
        return {document_id for document_id, grade in self.qrels.get(query_id, {}).items() if grade > 0}


@checked_call()
def read_dataset(folder: str | Path, *, split: str | None = None) -> Dataset:
    """Read a folder in BEIR layout, with ``candidates.SPLIT.jsonl`` (``query_id``, ``candidates``) if it is there.

    Args:
        folder: The dataset's folder; its name becomes the dataset's.
        split: Which ``qrels/SPLIT.tsv``; None takes ``qrels.tsv``, or the only split there is.

    Raises:
        InvalidInputError: A file is missing or malformed, or the split is not there.
    """
    folder = Path(folder)
    qrels_file = find_qrels(folder, split)
    qrels = read_qrels(qrels_file)
    documents = read_entries(folder / "corpus.jsonl")
    queries = {query_id: query.text for query_id, query in read_entries(folder / "queries.jsonl").items()}
    unknown = [query_id for query_id in qrels if query_id not in queries]
    if unknown:
        msg = f"{folder}: {len(unknown)} judged queries are not in queries.jsonl, the first is {unknown[0]!r}"
        raise InvalidInputError(msg)
    judged = {query_id: queries[query_id] for query_id in qrels}
    candidates = read_candidates(folder, judged, split=qrels_file.stem)
    # Resolved, so that "." and ".." are called what they are.
    name = folder.resolve().name
    return Dataset(name=name, documents=documents, queries=judged, qrels=qrels, candidates=candidates)


@checked_call()
def read_qrels(path: str | Path) -> dict[str, dict[str, int]]:
    """Read judgements: three columns with or without a header line, or TREC's four.

    Raises:
        InvalidInputError: The file is missing, a line is none of these, or two lines contradict each other.
    """
    qrels: dict[str, dict[str, int]] = {}
    for place, (number, line) in enumerate(numbered_lines(Path(path))):
        fields = line.split("\t") if "\t" in line else line.split()
        if len(fields) not in (3, 4):
            msg = f"{path}, line {number}: expected 'query document score' or TREC's four columns, got {line!r}"
            raise InvalidInputError(msg)
        if place == 0 and _is_header(fields):
            continue
        grade = _grade(fields[-1])
        if grade is None:
            msg = f"{path}, line {number}: the score must be a whole number, got {fields[-1]!r}"
            raise InvalidInputError(msg)
        known = qrels.setdefault(fields[0], {}).setdefault(fields[-2], grade)
        if known != grade:
            msg = (
                f"{path}, line {number}: document {fields[-2]!r} has the score {known} for {fields[0]!r} already, "
                f"got {grade}; keep one of the lines"
            )
            raise InvalidInputError(msg)
    return qrels


@checked_call()
def pool_datasets(datasets: Sequence[Dataset], *, name: str = "all") -> Dataset:
    """Return one dataset whose queries search all the corpora together.

    Ids become ``dataset/id``, so that equal ids of two datasets stay apart.

    Raises:
        InvalidInputError: Two datasets have one name, or one's name begins with the other's and a slash: of equal ids
            only one would be left.
    """
    names = [dataset.name for dataset in datasets]
    if len(set(names)) < len(names) or any(one.startswith(f"{other}/") for one in names for other in names):
        msg = f"datasets that are pooled need different names, got {names}; rename one with dataclasses.replace"
        raise InvalidInputError(msg)
    return Dataset(
        name=name,
        documents={f"{d.name}/{key}": document for d in datasets for key, document in d.documents.items()},
        queries={f"{d.name}/{key}": text for d in datasets for key, text in d.queries.items()},
        qrels={
            f"{d.name}/{key}": {f"{d.name}/{document}": grade for document, grade in judged.items()}
            for d in datasets
            for key, judged in d.qrels.items()
        },
        candidates={
            f"{d.name}/{key}": tuple(f"{d.name}/{document}" for document in listed)
            for d in datasets
            for key, listed in d.candidates.items()
        },
        notes=tuple(note for d in datasets for note in d.notes),
    )


def find_qrels(folder: Path, split: str | None) -> Path:
    """Return the file of judgements of a folder in BEIR layout.

    Raises:
        InvalidInputError: There is none of that split, or there are several to choose from.
    """
    single = folder / "qrels.tsv"
    if split is None and single.is_file():
        return single
    splits = sorted(path.stem for path in (folder / "qrels").glob("*.tsv"))
    wanted = splits[0] if split is None and len(splits) == 1 else split
    if wanted not in splits:
        msg = f"{folder} has no judgements for split={split!r}; its splits: {', '.join(splits) or 'none'}"
        msg += ". Choose one with split=... (--split)" if splits else ", and there is no qrels.tsv"
        raise InvalidInputError(msg)
    return folder / "qrels" / f"{wanted}.tsv"


def read_candidates(folder: Path, queries: Container[str], *, split: str) -> dict[str, tuple[str, ...]]:
    """Return the candidate lists of those queries from ``candidates.SPLIT.jsonl``; none if the file is not there.

    Raises:
        InvalidInputError: A line is something else, or a query has two lists.
    """
    path = folder / f"candidates.{split}.jsonl"
    if not path.is_file():
        return {}
    candidates: dict[str, tuple[str, ...]] = {}
    for number, line in numbered_lines(path):
        entry = json_object(line, where=f"{path}, line {number}")
        query_id, listed = _id(entry.get("query_id")), entry.get("candidates")
        found = tuple(_id(one) for one in listed) if isinstance(listed, list) else (None,)
        if query_id is None or not _are_known(found):
            msg = (
                f"{path}, line {number}: expected an object with 'query_id' and a list 'candidates' of ids, "
                f"got {line[:80]!r}"
            )
            raise InvalidInputError(msg)
        if query_id in queries and candidates.setdefault(query_id, found) != found:
            msg = f"{path}, line {number}: the query {query_id!r} has other candidates already; make one list of them"
            raise InvalidInputError(msg)
    return candidates


def _id(value: object) -> str | None:
    """Return an id as qrels have it, a whole number as its digits; None if it is none."""
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        return None
    return str(value)


def _are_known(ids: tuple[str | None, ...]) -> TypeGuard[tuple[str, ...]]:
    return None not in ids


def _is_header(fields: Sequence[str]) -> bool:
    """Return whether a first line names the columns; a score that cannot be used is no heading."""
    try:
        float(fields[-1])
    except ValueError:
        return bool(fields[-1].strip())
    return False


def _grade(field: str) -> int | None:
    try:
        value = float(field)
    except ValueError:
        return None
    return int(value) if value.is_integer() else None


def read_entries(path: Path, *, wanted: Container[str] | None = None) -> dict[str, Document]:
    """Return the texts of a ``corpus.jsonl`` or ``queries.jsonl`` by id.

    Args:
        path: The file. Ids that are whole numbers are taken as their digits, as qrels have them.
        wanted: The ids to keep; None keeps all.

    Raises:
        InvalidInputError: A line has no id or text, or an id stands for two texts.
    """
    entries: dict[str, Document] = {}
    for number, line in numbered_lines(path):
        where = f"{path}, line {number}"
        entry = json_object(line, where=where)
        key, text, title = _id(entry.get("_id")), entry.get("text"), entry.get("title")
        if key is None or not isinstance(text, str):
            msg = f"{where}: expected an object with '_id' and the string 'text', got {line[:80]!r}"
            raise InvalidInputError(msg)
        if wanted is not None and key not in wanted:
            continue
        document = Document(text=text, title="" if title is None else str(title))
        if entries.setdefault(key, document) != document:
            msg = f"{where}: the id {key!r} stands for another text already; give each its own id"
            raise InvalidInputError(msg)
    return entries


def json_object(text: str, *, where: str) -> dict[str, Any]:
    """Return a JSON object, or raise InvalidInputError that begins with ``where``."""
    try:
        entry = json.loads(text, object_pairs_hook=without_repetition)
    except (ValueError, RecursionError) as error:  # ValueError: a key twice, a number of more than 4,300 digits
        msg = f"{where}: not JSON ({error.msg if isinstance(error, json.JSONDecodeError) else error})"
        raise InvalidInputError(msg) from error
    if not isinstance(entry, dict):
        msg = f"{where}: expected a JSON object, got {text[:80]!r}"
        raise InvalidInputError(msg)
    return entry


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines of a dataset's file that are not blank, with their number from 1.

    Raises:
        InvalidInputError: The file cannot be read, or is not UTF-8.
    """
    return lines.numbered_lines(path, hint="a dataset in BEIR layout has this file")
