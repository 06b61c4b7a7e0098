"""Shared by the parts of a report: names of systems, the main measure, means over datasets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from statistics import fmean

from rerank_plugins.checks.arguments import checked_call, checked_fields
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.evaluation.results import Cell, EvaluationResults, System

__all__ = ["Names", "Scene", "first_stage_of", "short_name"]

# A report shows one measure in its pictures: the first of these that every cell has.
_PREFERRED = ("nDCG@10", "MRR@10", "RR@10", "hit@5")


@dataclass(frozen=True, slots=True)
class Names:
    """Names systems; ``top_k`` and ``top_n`` are included only if systems differ in them.

    Attributes:
        show_top_k: Whether ``top_k`` is included.
        show_top_n: Whether ``top_n`` is.
        models: A model to the end of its name that tells it from the others.
    """

    show_top_k: bool
    show_top_n: bool
    models: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, systems: Sequence[System]) -> Names:
        """Return the names for a report's systems."""
        second = [system for system in systems if system.reranker]
        models = {name for system in systems for name in (system.embedder, system.reranker) if name}
        return cls(
            show_top_k=len({s.top_k for s in second}) > 1,
            show_top_n=len({s.top_n for s in second}) > 1,
            models={name: _told_apart(name, models) for name in models},
        )

    def model(self, name: str) -> str:
        """Return a model's name without its owner or folder, unless another one would be called the same."""
        return self.models.get(name) or short_name(name)

    def full(self, system: System) -> str:
        """Return ``dense bge-m3 → bge-reranker-v2-m3 (top_k 50)``."""
        name = self.stage(system)
        if system.reranker is None:
            return name
        numbers = [
            f"{label} {value}"
            for label, value, shown in (
                ("top_k", system.top_k, self.show_top_k),
                ("top_n", system.top_n, self.show_top_n),
            )
            if shown
        ]
        return f"{name} → {self.model(system.reranker)}" + (f" ({', '.join(numbers)})" if numbers else "")

    def stage(self, system: System) -> str:
        """Return the name of a system's first stage."""
        if system.embedder is None:
            return "BM25" if system.retriever == "bm25" else system.retriever
        return f"{system.retriever} {self.model(system.embedder)}"


def short_name(model: str) -> str:
    """Return a model's name without its owner or folder."""
    return _end(model, 1)


def _end(model: str, n_parts: int) -> str:
    parts = model.replace("\\", "/").rstrip("/").split("/")
    return "/".join(parts[-n_parts:]) or model


def _told_apart(model: str, models: Set[str]) -> str:
    """Return the shortest end of a model's name, of whole parts, that no other one has."""
    n_parts, most = 1, len(model.replace("\\", "/").split("/"))
    while n_parts < most and any(_end(other, n_parts) == _end(model, n_parts) for other in models if other != model):
        n_parts += 1
    return _end(model, n_parts)


def first_stage_of(system: System) -> tuple[str, str | None]:
    """Return the key of a system's first stage: retriever and embedder."""
    return system.retriever, system.embedder


@checked_fields()
@dataclass(frozen=True, slots=True)
class Scene:
    """Results, with the values that every part of a report needs.

    Attributes:
        results: The results.
        measure: The measure that pictures show.
        names: The names of systems.
    """

    results: EvaluationResults
    measure: str
    names: Names

    @classmethod
    @checked_call()
    def of(cls, results: EvaluationResults, *, measure: str | None = None) -> Scene:
        """Return a scene of results.

        Args:
            results: At least one cell or curve.
            measure: Shown in the pictures; None takes nDCG@10, or the first that all cells have.

        Raises:
            InvalidInputError: There is nothing to report, no such measure, or none that all cells have.
        """
        if not results.cells and not results.curves:
            msg = "the results hold neither a cell nor a curve, so there is nothing to report; run the evaluation first"
            raise InvalidInputError(msg)
        shared = _shared_measures(results)
        if results.cells and not shared:
            msg = "the cells have no measure in common; report the results of one evaluation"
            raise InvalidInputError(msg)
        if measure is not None and measure not in shared:
            msg = f"measure {measure!r} is not in every cell; choose one of {', '.join(shared) or 'none'}"
            raise InvalidInputError(msg)
        chosen = measure or next((name for name in (*_PREFERRED, *shared) if name in shared), "")
        return cls(results, chosen, Names.of([cell.system for cell in results.cells]))

    @property
    def datasets(self) -> list[str]:
        """Names of the datasets, in the order of the results."""
        return list(dict.fromkeys(cell.dataset for cell in self.results.cells))

    @property
    def measures(self) -> list[str]:
        """Measures that every cell has."""
        return _shared_measures(self.results)

    @checked_call()
    def cells_of(self, dataset: str) -> list[Cell]:
        """Return a dataset's cells, each first stage before its reranked systems."""
        cells = [cell for cell in self.results.cells if cell.dataset == dataset]
        stages = list(dict.fromkeys(first_stage_of(cell.system) for cell in cells))
        return sorted(cells, key=lambda cell: (stages.index(first_stage_of(cell.system)), bool(cell.system.reranker)))

    def complete_systems(self) -> dict[System, list[Cell]]:
        """Return the systems that ran on every dataset, with their cells."""
        found: dict[System, list[Cell]] = {}
        for dataset in self.datasets:
            for cell in self.cells_of(dataset):
                found.setdefault(cell.system, []).append(cell)
        return {system: cells for system, cells in found.items() if len(cells) == len(self.datasets)}

    @checked_call()
    def mean(self, cells: Sequence[Cell], measure: str | None = None) -> float:
        """Return the mean over datasets of a measure; None is the one that pictures show."""
        name = measure or self.measure
        if not cells or any(name not in cell.measures for cell in cells):
            msg = f"a mean of {name!r} needs cells that have it, got {len(cells)} cells of which some or all have not"
            raise InvalidInputError(msg)
        return fmean(cell.measures[name].value for cell in cells)

    def deepest(self) -> Scene:
        """Return the scene in which, of systems that differ only in ``top_k`` or ``top_n``, the highest remains."""
        best: dict[tuple[str, str, str | None, str | None], Cell] = {}
        for cell in self.results.cells:
            key = (cell.dataset, *first_stage_of(cell.system), cell.system.reranker)
            held = best.get(key)
            if held is None or _depth(cell) > _depth(held):
                best[key] = cell
        return replace(self, results=replace(self.results, cells=tuple(best.values())))


def _depth(cell: Cell) -> tuple[int, int]:
    return cell.system.top_k, cell.system.top_n


def _shared_measures(results: EvaluationResults) -> list[str]:
    if not results.cells:
        return []
    return [name for name in results.cells[0].measures if all(name in cell.measures for cell in results.cells)]
