"""Retrieval and reranking tasks of MTEB and C-MTEB, read through the ``mteb`` package."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rerank_plugins.errors import InvalidInputError
from rerank_plugins.evaluation.dataset import Dataset, Document
from rerank_plugins.optional import import_extra

__all__ = ["read_mteb_task"]


def read_mteb_task(name: str, *, split: str | None = None) -> Dataset:
    """Load a task with mteb 2, which downloads it from the hub on first use.

    A reranking task's own candidates (``top_ranked``) become :attr:`Dataset.candidates`: the retriever
    ``candidates`` reranks exactly these, as mteb does. mteb's main score there is MAP.

    Args:
        name: The task's name, such as ``T2Reranking``; of a task with several subsets ``NAME/SUBSET``.
        split: Which split; None takes the first that the task is evaluated on.

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
    task.load_data()
    by_split = _chosen(task.dataset, subset or None, what="subset", task=task_name)
    wanted = split or next((one for one in task.eval_splits if one in by_split), None)
    data = _chosen(by_split, wanted, what="split", task=task_name)
    if not all(key in data for key in ("corpus", "queries", "relevant_docs")):
        msg = f"mteb's {task_name!r} is no retrieval or reranking task; choose one that is"
        raise InvalidInputError(msg)
    return _as_dataset(task_name, data)


def _chosen(options: Mapping[str, Any], wanted: str | None, *, what: str, task: str) -> Any:
    if wanted is None and len(options) == 1:
        return next(iter(options.values()))
    if wanted is None or wanted not in options:
        msg = f"mteb's {task!r} has no {what} {wanted!r}; there are {', '.join(options) or 'none'}"
        raise InvalidInputError(msg)
    return options[wanted]


def _as_dataset(name: str, data: Mapping[str, Any]) -> Dataset:
    qrels = {
        str(query_id): {str(document_id): int(grade) for document_id, grade in judged.items()}
        for query_id, judged in data["relevant_docs"].items()
    }
    texts = {str(row["id"]): str(row["text"]) for row in data["queries"]}
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
