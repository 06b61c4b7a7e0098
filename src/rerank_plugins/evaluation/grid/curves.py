"""Curves: quality against the size of the corpus, and against the depth of reranking."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from rerank_plugins.errors import InvalidInputError
from rerank_plugins.evaluation.dataset import Dataset
from rerank_plugins.evaluation.grid.cells import estimates, measured
from rerank_plugins.evaluation.grid.first_stages import first_stage_run
from rerank_plugins.evaluation.grid.lists import RerankScores, rerank_scores
from rerank_plugins.evaluation.grid.model_pool import ModelPool
from rerank_plugins.evaluation.grid.plan import GridOptions
from rerank_plugins.evaluation.results import Curve, CurvePoint, Estimate
from rerank_plugins.evaluation.run import Run

__all__ = ["depth_curve", "growth_curve", "growth_sizes", "subset_of_corpus"]


def growth_sizes(n_documents: int, *, least: int = 500) -> list[int]:
    """Return the corpus sizes of a growth curve: ``least``, twice that, and so on, and all documents.

    Raises:
        InvalidInputError: ``least`` is below 1.
    """
    if least < 1:
        msg = f"the least corpus size must be 1 or more, got {least}"
        raise InvalidInputError(msg)
    sizes = []
    while least < n_documents:
        sizes.append(least)
        least *= 2
    return [*sizes, n_documents]


def subset_of_corpus(dataset: Dataset, *, n_documents: int, seed: int) -> Dataset:
    """Return the dataset with part of its corpus: everything judged relevant, and randomly chosen others.

    Of one seed, a smaller part lies within every larger one. With fewer ``n_documents`` than relevant ones, the
    part is the relevant ones.

    Args:
        dataset: Any dataset.
        n_documents: Documents kept.
        seed: Of the choice.
    """
    relevant = {document_id for query_id in dataset.queries for document_id in dataset.relevant_ids(query_id)}
    others = sorted(set(dataset.documents) - relevant)
    random.Random(seed).shuffle(others)  # noqa: S311 - no secret
    kept = relevant | set(others[: max(0, n_documents - len(relevant))])
    return replace(
        dataset,
        documents={key: document for key, document in dataset.documents.items() if key in kept},
        candidates={
            query_id: tuple(one for one in listed if one in kept) for query_id, listed in dataset.candidates.items()
        },
    )


def growth_curve(
    dataset: Dataset,
    options: GridOptions,
    *,
    sizes: Sequence[int],
    folder: Path,
    models: ModelPool,
    advance: Callable[[int], object],
) -> Curve:
    """Return quality against corpus size, for every first stage alone and with every reranker.

    The measure is the options' first, of the first ``top_n`` (the largest) after reranking the deepest ``top_k``.

    Args:
        dataset: The whole corpus and the queries.
        options: The grid.
        sizes: Documents in the corpus, ascending; at least the relevant ones are always in it.
        folder: The work folder.
        models: Makes indexes and models.
        advance: Called with the number of queries after each chunk that is reranked.
    """
    scores = [
        (choice, rerank_scores(choice, dataset, folder, device=options.device)) for choice in options.reranker_choices
    ]
    lines: dict[str, list[CurvePoint]] = {}
    for size in sizes:
        part = subset_of_corpus(dataset, n_documents=size, seed=options.seed)
        runs = {
            stage.name: first_stage_run(
                stage, part, depth=options.depth, folder=folder, models=models, whole=dataset
            ).run
            for stage in options.stages
        }
        for name, run in runs.items():
            lines.setdefault(name, []).append(_point(len(part.documents), run, dataset, options))
        for choice, pairs in scores:
            pairs.complete(
                runs, slots=(), depth=options.depth, reranker=partial(models.reranker, choice), advance=advance
            )
            for name, run in runs.items():
                reranked = pairs.reranked(run, top_k=options.depth)
                label = f"{name} → {choice.name}"
                lines.setdefault(label, []).append(_point(len(part.documents), reranked, dataset, options))
    return _curve("growth", dataset, options, lines)


def depth_curve(
    dataset: Dataset,
    options: GridOptions,
    *,
    depths: Sequence[int],
    runs: dict[str, Run],
    scores: Sequence[tuple[str, RerankScores]],
) -> Curve:
    """Return quality against ``top_k``, for every first stage with every reranker; nothing is scored for it.

    Args:
        dataset: Corpus and queries.
        options: The grid.
        depths: The values of ``top_k``, none above the options' deepest.
        runs: First stage's name to its run.
        scores: Reranker's name to its pair scores, complete to the deepest ``top_k``.
    """
    lines: dict[str, list[CurvePoint]] = {}
    for reranker, pairs in scores:
        for name, run in runs.items():
            lines[f"{name} → {reranker}"] = [
                _point(top_k, pairs.reranked(run, top_k=top_k), dataset, options) for top_k in sorted(depths)
            ]
    return _curve("depth", dataset, options, lines)


def _point(x: int, run: Run, dataset: Dataset, options: GridOptions) -> CurvePoint:
    evaluation = measured(run, dataset, top_n=max(options.top_ns), measures=options.measures[:1])
    estimate: Estimate = estimates(evaluation, options)[options.measures[0]]
    return CurvePoint(x, estimate)


def _curve(kind: str, dataset: Dataset, options: GridOptions, lines: dict[str, list[CurvePoint]]) -> Curve:
    return Curve(
        kind=kind,
        dataset=dataset.name,
        measure=options.measures[0],
        lines={name: tuple(points) for name, points in lines.items()},
    )
