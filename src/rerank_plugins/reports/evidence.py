"""Finds the runs and judgements that a report needs beyond the measures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

from rerank_plugins.errors import InvalidInputError
from rerank_plugins.evaluation.dataset import Dataset, Qrels
from rerank_plugins.evaluation.movements import Case, movements, pick_cases
from rerank_plugins.evaluation.results import Cell
from rerank_plugins.evaluation.run import Run, ranked_ids, read_trec_run, unquoted_run
from rerank_plugins.reports.systems import Scene, first_stage_of

__all__ = ["Evidence", "QueryMove", "find_evidence", "query_moves", "split_scores"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """A reranked cell with its runs and its dataset.

    Attributes:
        cell: The cell.
        dataset: Texts and judgements.
        before: The first stage's run, cut to what was reranked.
        after: The reranked run.
    """

    cell: Cell
    dataset: Dataset
    before: Run
    after: Run


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryMove:
    """One query's documents before and after reranking.

    Attributes:
        case: Why it is shown.
        query: Its text.
        before: Document ids, best first.
        after: The same after reranking.
        relevant: Ids judged relevant.
    """

    case: Case
    query: str
    before: tuple[str, ...]
    after: tuple[str, ...]
    relevant: frozenset[str]


def find_evidence(scene: Scene, *, runs: Path | None, datasets: Mapping[str, Dataset]) -> list[Evidence]:
    """Return for each dataset its best reranked cell that has both runs and judgements.

    Args:
        scene: The results.
        runs: Folder that ``run_file`` is relative to; None if there are no runs.
        datasets: Name to dataset.

    Raises:
        InvalidInputError: A run file is malformed, or named by a path that leaves the folder.
    """
    found: list[Evidence] = []
    for name in scene.datasets if runs is not None else []:
        cells = [cell for cell in scene.cells_of(name) if cell.system.reranker]
        for cell in sorted(cells, key=lambda one: -one.measures[scene.measure].value):
            one = _evidence(scene, cell, runs=runs, dataset=datasets.get(name))
            if one is not None:
                found.append(one)
                break
    return found


def query_moves(evidence: Evidence, *, query_id: str | None = None) -> list[QueryMove]:
    """Return the queries to show: helped most, typical and hurt most, or the requested one.

    Raises:
        InvalidInputError: ``query_id`` is not in both runs, or no relevant document of it was found.
    """
    moves = movements(evidence.before, evidence.after, evidence.dataset)
    if query_id is not None:
        moves = [move for move in moves if move.query_id == query_id]
        if not moves:
            msg = f"query {query_id!r} has no relevant document in both runs; choose another, or None for a selection"
            raise InvalidInputError(msg)
    return [_query_move(evidence, case) for case in pick_cases(moves)]


def split_scores(run: Run, qrels: Qrels) -> tuple[list[float], list[float]]:
    """Return the scores of the relevant pairs, and those of the others. Unjudged pairs count as not relevant.

    Queries without judgements are left out.
    """
    relevant: list[float] = []
    others: list[float] = []
    for query_id, scores in run.items():
        judged = qrels.get(query_id)
        if judged is None:
            continue
        for document_id, score in scores.items():
            (relevant if judged.get(document_id, 0) > 0 else others).append(score)
    return relevant, others


def _evidence(scene: Scene, cell: Cell, *, runs: Path | None, dataset: Dataset | None) -> Evidence | None:
    first = next(
        (
            one
            for one in scene.cells_of(cell.dataset)
            if one.system.reranker is None and first_stage_of(one.system) == first_stage_of(cell.system)
        ),
        None,
    )
    if dataset is None or first is None or runs is None:
        return None
    after, before = _run(cell, runs, dataset), _run(first, runs, dataset)
    if after is None or before is None:
        return None
    cut = {
        query_id: {key: scores[key] for key in ranked_ids(scores)[: cell.system.top_k]}
        for query_id, scores in before.items()
    }
    return Evidence(cell=cell, dataset=dataset, before=cut, after=after)


def _run(cell: Cell, folder: Path, dataset: Dataset) -> Run | None:
    if cell.run_file is None:
        return None
    parts = PurePosixPath(cell.run_file)
    # The name comes from a file that is not trusted.
    if parts.is_absolute() or ".." in parts.parts or PureWindowsPath(cell.run_file).drive:
        msg = f"run_file {cell.run_file!r} leaves the folder of the results; it must be a relative path without '..'"
        raise InvalidInputError(msg)
    path = folder / parts
    if not path.is_file():
        return None
    return unquoted_run(read_trec_run(path), queries=dataset.queries, documents=dataset.documents)


def _query_move(evidence: Evidence, case: Case) -> QueryMove:
    query_id = case.move.query_id
    return QueryMove(
        case=case,
        query=evidence.dataset.queries[query_id],
        before=tuple(ranked_ids(evidence.before[query_id])),
        after=tuple(ranked_ids(evidence.after[query_id])),
        relevant=frozenset(evidence.dataset.relevant_ids(query_id)),
    )
