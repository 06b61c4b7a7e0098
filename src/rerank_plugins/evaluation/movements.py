"""How reranking moved the relevant documents, and which queries show it best."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median_low

from rerank_plugins.evaluation.dataset import Dataset
from rerank_plugins.evaluation.run import Run, ranked_ids

__all__ = ["Case", "Movement", "movements", "pick_cases"]


@dataclass(frozen=True, slots=True)
class Movement:
    """A relevant document's rank before and after, both from 1."""

    query_id: str
    document_id: str
    before: int
    after: int

    @property
    def gain(self) -> float:
        """The change of 1/rank; positive if the document moved up."""
        return 1 / self.after - 1 / self.before


@dataclass(frozen=True, slots=True)
class Case:
    """A query to show in a report, why it was chosen, and the movement of its best relevant document."""

    reason: str
    move: Movement


def movements(before: Run, after: Run, dataset: Dataset) -> list[Movement]:
    """Return the move of every relevant document that the first stage found."""
    moves: list[Movement] = []
    for query_id in dataset.queries:
        first = _ranks(before, query_id)
        second = _ranks(after, query_id)
        found = sorted(dataset.relevant_ids(query_id) & first.keys() & second.keys())
        moves += [Movement(query_id, key, first[key], second[key]) for key in found]
    return moves


def pick_cases(moves: list[Movement]) -> list[Case]:
    """Return three queries: the one helped most, a typical one, and the one hurt most.

    A query counts by its best relevant document. If none was helped or none was hurt, the case says so. Fewer queries
    give fewer cases.
    """
    best = _best_per_query(moves)
    ordered = sorted(best, key=lambda move: (-move.gain, -move.before, move.query_id))
    if not ordered:
        return []
    first, last = ordered[0], ordered[-1]
    changed = [move for move in ordered[1:-1] if move.gain] or ordered[1:-1]
    cases = [Case("helped most" if first.gain > 0 else "none was helped; this one fared best", first)]
    if changed:
        typical = changed[median_low(range(len(changed)))]
        cases.append(Case("a typical change (the median)" if typical.gain else "one of those that stayed", typical))
    if last is not first:
        cases.append(Case("hurt most" if last.gain < 0 else "none was hurt; this one gained least", last))
    return cases


def _best_per_query(moves: list[Movement]) -> list[Movement]:
    """Return one move per query: from the best rank before to the best rank after."""
    grouped: dict[str, list[Movement]] = {}
    for move in moves:
        grouped.setdefault(move.query_id, []).append(move)
    return [
        Movement(query_id, group[0].document_id, min(m.before for m in group), min(m.after for m in group))
        for query_id, group in grouped.items()
    ]


def _ranks(run: Run, query_id: str) -> dict[str, int]:
    return {key: rank for rank, key in enumerate(ranked_ids(run.get(query_id, {})), start=1)}
