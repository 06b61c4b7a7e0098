"""The grid on one dataset: first stages, rerank scores, cells, curves."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from rich.progress import Progress

from rerank_plugins.evaluation.dataset import Dataset
from rerank_plugins.evaluation.grid.cells import SystemRun, make_cell, save_run
from rerank_plugins.evaluation.grid.curves import depth_curve, growth_curve, growth_sizes
from rerank_plugins.evaluation.grid.first_stages import first_stage_run
from rerank_plugins.evaluation.grid.lists import RerankScores, rerank_scores
from rerank_plugins.evaluation.grid.model_pool import ModelPool
from rerank_plugins.evaluation.grid.pairs import Slot
from rerank_plugins.evaluation.grid.plan import CurveOptions, GridOptions, ModelChoice, StageChoice
from rerank_plugins.evaluation.results import Cell, Curve, System
from rerank_plugins.evaluation.run import Run, TimedRun
from rerank_plugins.system.lazy import computed_once

__all__ = ["DatasetBench"]


class DatasetBench:
    """Measures every system of a grid on one dataset.

    Args:
        dataset: Corpus and queries.
        options: The grid.
        curves: Which curves are made in addition.
        folder: The work folder.
        models: Makes models and indexes.
        progress: A running display.
    """

    def __init__(
        self,
        dataset: Dataset,
        options: GridOptions,
        curves: CurveOptions,
        *,
        folder: Path,
        models: ModelPool,
        progress: Progress,
    ) -> None:
        self._dataset, self._options, self._curves = dataset, options, curves
        self._folder, self._models, self._progress = folder, models, progress
        self._depth = max((options.depth, *curves.depths))

    def cells(self) -> list[Cell]:
        """Return the cells, each first stage followed by its reranked systems, and save their runs."""
        return [cell for stage in self._options.stages for cell in self._cells_on(stage)]

    def curves(self) -> list[Curve]:
        """Return the requested curves."""
        curves = []
        if self._curves.depths:
            scores = [(choice.name, pairs) for choice, pairs in self._pairs]
            curves.append(
                depth_curve(self._dataset, self._options, depths=self._curves.depths, runs=self._runs, scores=scores)
            )
        if self._curves.growth_from is not None:
            curves.append(self._growth(self._curves.growth_from))
        return curves

    @computed_once
    def _found(self) -> dict[str, TimedRun]:
        """First stage's name to its results, as deep as any cell or curve needs."""
        task = self._progress.add_task(f"{self._dataset.name}: first stages", total=len(self._options.stages))
        found = {}
        for stage in self._options.stages:
            found[stage.name] = first_stage_run(
                stage, self._dataset, depth=self._depth, folder=self._folder, models=self._models
            )
            self._progress.advance(task)
        self._progress.remove_task(task)
        return found

    @computed_once
    def _runs(self) -> dict[str, Run]:
        return {name: timed.run for name, timed in self._found.items()}

    @computed_once
    def _pairs(self) -> list[tuple[ModelChoice, RerankScores]]:
        """Each reranker with the scores of all pairs that any cell or depth curve needs."""
        stages = self._options.stages
        slots = [Slot(stage.name, stage.key, top_k) for top_k in self._options.top_ks for stage in stages]
        scored = []
        for choice in self._options.reranker_choices:
            pairs = rerank_scores(choice, self._dataset, self._folder, device=self._options.device)
            task = self._progress.add_task(
                f"{self._dataset.name}: reranking with {choice.name}", total=len(self._dataset.queries)
            )
            pairs.complete(
                self._runs,
                slots=slots,
                depth=self._depth,
                reranker=partial(self._models.reranker, choice),
                advance=partial(self._progress.advance, task),
            )
            self._progress.remove_task(task)
            scored.append((choice, pairs))
        return scored

    def _cells_on(self, stage: StageChoice) -> list[Cell]:
        options, timed = self._options, self._found[stage.name]
        cells = []
        for top_n in options.top_ns:
            alone = stage.system(reranker=None, top_k=options.depth, top_n=top_n)
            cells.append(self._first_stage_cell(alone, timed))
            for choice, pairs in self._pairs:
                for top_k in options.top_ks:
                    if top_k >= top_n:
                        system = stage.system(reranker=choice, top_k=top_k, top_n=top_n)
                        cells.append(self._reranked_cell(system, pairs, stage, timed))
        return cells

    def _first_stage_cell(self, system: System, timed: TimedRun) -> Cell:
        run = {query_id: dict(list(found.items())[: system.top_k]) for query_id, found in timed.run.items()}
        return self._cell(SystemRun(system=system, run=run, first_ms=timed.latencies_ms))

    def _reranked_cell(self, system: System, pairs: RerankScores, stage: StageChoice, timed: TimedRun) -> Cell:
        one = SystemRun(
            system=system,
            run=pairs.reranked(timed.run, top_k=system.top_k),
            first_ms=timed.latencies_ms,
            rerank=pairs.timings(Slot(stage.name, stage.key, system.top_k)),
        )
        return self._cell(one, baseline=timed.run)

    def _cell(self, one: SystemRun, *, baseline: Run | None = None) -> Cell:
        run_file = save_run(one, self._dataset, self._folder)
        return make_cell(one, self._dataset, self._options, baseline=baseline, run_file=run_file)

    def _growth(self, least: int) -> Curve:
        sizes = growth_sizes(len(self._dataset.documents), least=least)
        n_steps = len(sizes) * len(self._options.reranker_choices) * len(self._dataset.queries)
        task = self._progress.add_task(f"{self._dataset.name}: growing corpus", total=n_steps)
        curve = growth_curve(
            self._dataset,
            self._options,
            sizes=sizes,
            folder=self._folder,
            models=self._models,
            advance=partial(self._progress.advance, task),
        )
        self._progress.remove_task(task)
        return curve
