"""Reads datasets in common file formats. The format is recognised from the files, without options."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeGuard

from rerank_plugins.checks.arguments import checked_call
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.evaluation.dataset import Dataset, Document, json_object, numbered_lines, read_dataset
from rerank_plugins.evaluation.mteb_tasks import read_mteb_task

__all__ = ["open_dataset", "read_finetune_json", "read_pairs_jsonl"]

_MTEB = "mteb:"


@checked_call()
def open_dataset(source: str | Path, *, split: str | None = None) -> Dataset:
    """Read a dataset from any of the supported places.

    Args:
        source: A folder in BEIR layout; a ``.jsonl`` file (:func:`read_pairs_jsonl`); a ``.json`` file
            (:func:`read_finetune_json`); or ``mteb:TASK``
            (:func:`~rerank_plugins.evaluation.mteb_tasks.read_mteb_task`).
        split: Which judgements, where there are several.

    Raises:
        InvalidInputError: It is none of these, or malformed.
        MissingExtraError: The source starts with ``mteb:`` and mteb is not installed.
    """
    if str(source).startswith(_MTEB):
        return read_mteb_task(str(source).removeprefix(_MTEB), split=split)
    path = Path(source)
    if path.is_dir():
        return read_dataset(path, split=split)
    if path.suffix == ".jsonl" and path.is_file():
        return read_pairs_jsonl(path)
    if path.suffix == ".json" and path.is_file():
        return read_finetune_json(path)
    msg = f"{str(source)!r} is no folder, .jsonl or .json file, and not mteb:TASK; check the path"
    raise InvalidInputError(msg)


def read_pairs_jsonl(path: str | Path) -> Dataset:
    """Read one's own queries and texts from JSON lines.

    Each line is an object with ``query`` and one of:

    * ``pos`` and ``neg``: lists of texts (FlagEmbedding's and RAG-Retrieval's training format); ``neg`` may be missing.
    * ``qrels``: an object of text to relevance, a whole number.
    * ``hits``: a list of ``{"content": text, "label": number}`` (RAG-Retrieval's grouped format).
    * ``content`` and ``label``: one judged text; lines with the same query belong together.

    A label that is not whole counts 1 from 0.5 up, else 0. Equal texts are one document, ``d0``, ``d1``, ... in
    the order of their first appearance; all of them form the corpus. Where a line judges one text twice, the higher
    grade counts. A query's own texts are its candidates, in the order of the file. With ``pos`` and ``neg`` that order
    would give the labels away to whatever reads only the first of them; such candidates are put into an order that says
    nothing of the labels (by a digest of query and text).

    Raises:
        InvalidInputError: The file cannot be read, or a line is none of these.
    """
    path = Path(path)
    ids: dict[str, str] = {}
    by_query: dict[str, dict[str, int]] = {}
    by_label: set[str] = set()
    for number, line in numbered_lines(path):
        where = f"{path}, line {number}"
        entry = json_object(line, where=where)
        if not isinstance(entry.get("query"), str):
            msg = f"{where}: expected a string 'query', got {entry.get('query')!r}"
            raise InvalidInputError(msg)
        judged = by_query.setdefault(entry["query"], {})
        if isinstance(entry.get("pos"), list):
            by_label.add(entry["query"])
        for text, grade in _judged_texts(entry, where=where):
            document_id = ids.setdefault(text, f"d{len(ids)}")
            judged[document_id] = max(grade, judged.get(document_id, 0))
    texts = {document_id: text for text, document_id in ids.items()}
    listed = {
        query: _in_no_order(query, judged, texts) if query in by_label else judged for query, judged in by_query.items()
    }
    queries = {f"q{position}": query for position, query in enumerate(by_query)}
    qrels = {f"q{position}": judged for position, judged in enumerate(by_query.values())}
    return Dataset(
        name=path.stem,
        documents={document_id: Document(text) for document_id, text in texts.items()},
        queries=queries,
        qrels=qrels,
        candidates={query_id: tuple(listed[query]) for query_id, query in queries.items()},
    )


def read_finetune_json(path: str | Path) -> Dataset:
    """Read LlamaIndex's ``EmbeddingQAFinetuneDataset``: ``queries``, ``corpus`` and ``relevant_docs`` by id.

    Raises:
        InvalidInputError: The file cannot be read, or is something else.
    """
    path = Path(path)
    entry = json_object("\n".join(line for _, line in numbered_lines(path)), where=str(path))
    queries, corpus, relevant = entry.get("queries"), entry.get("corpus"), entry.get("relevant_docs")
    if not _is_text_by_id(queries) or not _is_text_by_id(corpus) or not _is_list_by_id(relevant):
        msg = f"{path}: expected the objects 'queries', 'corpus' (id to text) and 'relevant_docs' (id to list of ids)"
        raise InvalidInputError(msg)
    unknown = [query_id for query_id in relevant if query_id not in queries]
    if unknown:
        msg = f"{path}: relevant_docs names {len(unknown)} queries that are not there, the first is {unknown[0]!r}"
        raise InvalidInputError(msg)
    return Dataset(
        name=path.stem,
        documents={document_id: Document(text) for document_id, text in corpus.items()},
        queries={query_id: queries[query_id] for query_id in relevant},
        qrels={query_id: dict.fromkeys(map(str, listed), 1) for query_id, listed in relevant.items()},
    )


def _in_no_order(query: str, document_ids: Iterable[str], texts: Mapping[str, str]) -> list[str]:
    """Return documents of a query in an order that is the same in every run, and says nothing of their labels."""

    def digest(document_id: str) -> bytes:
        return hashlib.sha256(f"{query}\0{texts[document_id]}".encode("utf-8", "surrogatepass")).digest()

    return sorted(document_ids, key=digest)


def _judged_texts(entry: Mapping[str, Any], *, where: str) -> list[tuple[str, int]]:
    pos, neg, qrels, hits = entry.get("pos"), entry.get("neg") or [], entry.get("qrels"), entry.get("hits")
    judged: list[tuple[Any, Any]]
    if isinstance(pos, list):
        # A value that is no list of texts becomes a pair that is refused below.
        judged = [(text, 1) for text in pos] + ([(text, 0) for text in neg] if isinstance(neg, list) else [(None, 0)])
    elif isinstance(qrels, dict):
        judged = list(qrels.items())
    elif isinstance(hits, list):
        judged = [(hit.get("content"), hit.get("label")) if isinstance(hit, dict) else (None, None) for hit in hits]
    else:
        judged = [(entry.get("content"), entry.get("label"))]
    grades = [(text, _grade(label)) for text, label in judged]
    checked = [(text, grade) for text, grade in grades if isinstance(text, str) and grade is not None]
    if not judged or len(checked) < len(judged):
        msg = f"{where}: expected pos and neg, or qrels, or hits, or content and label, with texts and numbers"
        raise InvalidInputError(msg)
    return checked


def _grade(label: object) -> int | None:
    if isinstance(label, bool) or not isinstance(label, (int, float)):
        return None
    try:
        value = float(label)
    except OverflowError:  # a whole number of hundreds of digits
        return None
    if not math.isfinite(value):
        return None
    return int(label) if value.is_integer() else int(value >= 0.5)


def _is_text_by_id(value: Any) -> TypeGuard[dict[str, str]]:
    return isinstance(value, dict) and all(isinstance(text, str) for text in value.values())


def _is_list_by_id(value: Any) -> TypeGuard[dict[str, list[Any]]]:
    return isinstance(value, dict) and all(isinstance(listed, list) for listed in value.values())
