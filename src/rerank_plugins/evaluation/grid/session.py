"""Runs a whole evaluation in a work folder, from which an interrupted run resumes."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from rich.progress import Progress

from rerank_plugins.errors import InvalidInputError
from rerank_plugins.evaluation.dataset import Dataset
from rerank_plugins.evaluation.grid.bench import DatasetBench
from rerank_plugins.evaluation.grid.model_pool import ModelPool
from rerank_plugins.evaluation.grid.plan import CurveOptions, GridOptions
from rerank_plugins.evaluation.measures import parse_measures
from rerank_plugins.evaluation.results import Cell, Curve, EvaluationResults
from rerank_plugins.system.files import write_atomically

__all__ = ["RESULTS_FILE", "run_evaluation"]

RESULTS_FILE = "results.json"

_PACKAGES = ("rerank-plugins", "torch", "transformers", "numpy", "ir-measures", "bm25s", "faiss-cpu")


def run_evaluation(
    datasets: Sequence[Dataset],
    options: GridOptions,
    folder: str | Path,
    *,
    curves: CurveOptions | None = None,
    progress: Progress | None = None,
) -> EvaluationResults:
    """Run the grid over datasets, and write ``results.json`` and ``runs/`` into a folder.

    Results that are already in the folder (vectors, first-stage results, rerank scores) are not computed again: a
    killed run resumes, and a larger grid only computes what is new. Files are keyed by the contents of the corpus and
    the models, so that changed data or models are computed again.

    Args:
        datasets: Checked by :func:`~rerank_plugins.evaluation.checks.usable_dataset`; names must differ.
        options: The grid.
        folder: The work folder; made if it is not there.
        curves: Growth and depth curves; None makes none.
        progress: A running progress display; None shows nothing.

    Raises:
        InvalidInputError: Two datasets have one name, or a value cannot work.
        MissingExtraError: ir-measures, bm25s or FAISS is not installed.
        ModelError: A model cannot be loaded.
    """
    curves = curves or CurveOptions()
    _check(datasets, options, curves)
    folder = Path(folder)
    progress = progress or Progress(disable=True)
    cells: list[Cell] = []
    drawn: list[Curve] = []
    with ModelPool(folder, device=options.device, progress=progress) as models:
        for dataset in datasets:
            bench = DatasetBench(dataset, options, curves, folder=folder, models=models, progress=progress)
            cells += bench.cells()
            drawn += bench.curves()
    results = EvaluationResults(
        cells=tuple(cells), curves=tuple(drawn), environment=_environment(datasets, options, curves)
    )
    write_atomically(folder / RESULTS_FILE, results.to_json().encode())
    return results


def _check(datasets: Sequence[Dataset], options: GridOptions, curves: CurveOptions) -> None:
    names = [dataset.name for dataset in datasets]
    if not names or len(set(names)) < len(names):
        msg = f"datasets need different names, and there must be one; got {names}. Rename a folder or file"
        raise InvalidInputError(msg)
    if any(depth < 1 for depth in curves.depths):
        msg = f"depths must be 1 or more, got {curves.depths}"
        raise InvalidInputError(msg)
    if curves.depths and not options.rerankers:
        msg = (
            f"depths={curves.depths} asks how many documents to rerank, and there is no reranker: name one, or leave "
            "depths (--depth) out"
        )
        raise InvalidInputError(msg)
    if "candidates" in options.retrievers and not all(dataset.candidates for dataset in datasets):
        without = next(dataset.name for dataset in datasets if not dataset.candidates)
        msg = f"{without!r} gives no candidate lists; choose bm25, dense or hybrid for it, or leave it out"
        raise InvalidInputError(msg)
    parse_measures(options.measures)


def _device(requested: str | None) -> str:
    try:
        from rerank_plugins.engine.device import resolve_device
    except ModuleNotFoundError:
        return "none: torch is not installed, so no model runs here"
    return str(resolve_device(requested))


def _environment(datasets: Sequence[Dataset], options: GridOptions, curves: CurveOptions) -> dict[str, str]:
    described = {
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "device": _device(options.device),
        "seed": str(options.seed),
        "intervals": f"95 % percentile bootstrap over queries, {options.n_resamples} samples",
        "test": f"paired randomisation test against the first stage, {options.n_permutations} draws",
        "latency": "one query at a time; second stages on a share of the queries, see n_queries of each latency",
    }
    if options.price_per_hour is not None:
        described["price per hour"] = f"{options.price_per_hour:g}"
    if curves.growth_from is not None:
        described["growth"] = "nested parts of the corpus; every judged relevant document is in each part"
    described |= {name: version(name) for name in _PACKAGES if _is_installed(name)}
    for dataset in datasets:
        size = f"{len(dataset.documents)} documents, {len(dataset.queries)} queries"
        described[f"data {dataset.name}"] = "; ".join((size, *dataset.notes))
    return described


def _is_installed(name: str) -> bool:
    try:
        return bool(version(name))
    except PackageNotFoundError:
        return False
