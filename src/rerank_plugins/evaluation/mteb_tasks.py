"""Retrieval and reranking tasks of MTEB and C-MTEB, read through the ``mteb`` package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from inspect import signature
from typing import Any

from rerank_plugins.checks.optional import import_extra
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.evaluation.dataset import Dataset, Document

__all__ = ["read_mteb_task"]


def read_mteb_task(name: str, *, split: str | None = None) -> Dataset:
    """Load a task with mteb 2, which downloads it from the hub on first use: one subset and one split of it.

    A reranking task's own candidates (``top_ranked``) become :attr:`Dataset.candidates`: the retriever
    ``candidates`` reranks exactly these, as mteb does. mteb's main score there is MAP.

    Args:
        name: The task's name, such as ``T2Reranking``; of a task with several subsets ``NAME/SUBSET``.
        split: Which of the splits that the task is evaluated on; None takes the first.

    Raises:
        MissingExtraError: mteb is not installed.
        InvalidInputError: mteb knows no such task, or it has no such subset or split, or no texts to retrieve.
    """
    mteb = import_extra("mteb", extra="mteb")
    task_name, _, subset = name.partition("/")
    try:
        task = mteb.get_task(task_name)
    except (KeyError, ValueError) as error:
        msg = f"mteb knows no task {task_name!r}: {error}"
        raise InvalidInputError(msg) from error
    # Before anything is downloaded.
    if not isinstance(task, import_extra("mteb.abstasks", extra="mteb").AbsTaskRetrieval):
        msg = f"mteb's {task_name!r} is no retrieval or reranking task; choose one that is"
        raise InvalidInputError(msg)
    if list(task.metadata.modalities) != ["text"]:
        msg = f"mteb's {task_name!r} is about {', '.join(task.metadata.modalities)}; choose a task of texts only"
        raise InvalidInputError(msg)
    wanted_split = _chosen(task.eval_splits, split or task.eval_splits[0], what="split", task=task_name)
    wanted_subset = _chosen(task.hf_subsets, subset or None, what="subset", task=task_name)
    part = mteb.get_task(task_name, eval_splits=[wanted_split], hf_subsets=[wanted_subset])
    part.load_data()
    _to_current_layout(part)
    return _as_dataset(task_name, part.dataset[wanted_subset][wanted_split])


def _chosen(options: Sequence[str], wanted: str | None, *, what: str, task: str) -> str:
    if wanted is None and len(options) == 1:
        return options[0]
    if wanted is None or wanted not in options:
        problem = f"no {what} {wanted!r}" if wanted else f"several {what}s and none was chosen (NAME/{what.upper()})"
        msg = f"mteb's {task!r} has {problem}; there are {', '.join(options)}"
        raise InvalidInputError(msg)
    return wanted


def _to_current_layout(task: Any) -> None:
    """Do what mteb does before it evaluates: bring data that a task reads with code of its own into ``dataset``."""
    convert = task.convert_v1_dataset_format_to_v2
    # The argument came in during mteb 2, without a default.
    options = {"num_proc": None} if "num_proc" in signature(convert).parameters else {}
    convert(**options)


def _as_dataset(name: str, data: Mapping[str, Any]) -> Dataset:
    qrels = {
        str(query_id): {str(document_id): int(grade) for document_id, grade in judged.items()}
        for query_id, judged in data["relevant_docs"].items()
    }
    texts = {str(row["id"]): _query(row, task=name) for row in data["queries"]}
    top_ranked = data.get("top_ranked") or {}
    return Dataset(
        name=name,
        documents={
            str(row["id"]): Document(text=str(row["text"]), title=str(row.get("title") or "")) for row in data["corpus"]
        },
        queries={query_id: texts[query_id] for query_id in qrels if query_id in texts},
        qrels={query_id: judged for query_id, judged in qrels.items() if query_id in texts},
        candidates={str(query_id): tuple(map(str, listed)) for query_id, listed in top_ranked.items()},
    )


def _query(row: Mapping[str, Any], *, task: str) -> str:
    """Return what mteb gives a model: the query, then its instruction if it has one."""
    text, instruction = row["text"], row.get("instruction")
    if not isinstance(text, str):
        msg = f"mteb's {task!r} asks with conversations, which have no one text; choose a task whose queries are texts"
        raise InvalidInputError(msg)
    return f"{text} {instruction}" if instruction else text
