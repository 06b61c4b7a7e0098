"""``python -m benchmarks.precision --sets FOLDER stackfaq wikiqa:dev``: what a model's precision does to its rankings.

For some queries of each set in BEIR layout, its candidates or BM25's best documents are ranked in float32 and in other
precisions. Three figures each: nDCG@10, the p of the paired test that it is another one, and which part of the ten best
in float32 is among the ten best.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from statistics import mean
from typing import Annotated

import typer

from benchmarks.compare import top_overlap
from benchmarks.rankings import Candidates, ndcg_of
from rerank_plugins import Reranker
from rerank_plugins.evaluation import read_dataset, sample_queries
from rerank_plugins.evaluation.statistics import compare_paired

__all__ = ["main"]

_EXACT = "float32"


def main(
    names: Annotated[list[str], typer.Argument(help="Sets: FOLDER[:SPLIT].")],
    *,
    sets: Annotated[Path, typer.Option(help="Folder of sets in BEIR layout.")],
    model: Annotated[str, typer.Option(help="The reranker.")] = "mini",
    dtype: Annotated[list[str], typer.Option(help="A precision beside float32; repeat it.")],
    queries: Annotated[int, typer.Option(min=2, help="Queries of each set at most.")] = 50,
    documents: Annotated[int, typer.Option(min=10, help="Candidates of a query.")] = 50,
) -> None:
    """Rank the same candidates in every precision."""
    rerankers = {one: Reranker(model, dtype=one) for one in (_EXACT, *dtype)}
    for name, reranker in rerankers.items():
        if reranker.dtype != name:
            msg = f"{model!r} runs in {reranker.dtype} here where {name} is asked for"
            raise typer.BadParameter(msg)
    _say(f"| set | queries | {_EXACT} nDCG@10 | {' | '.join(f'{one} | p | kept' for one in dtype)} |")
    _say(f"|{'---|' * (3 + 3 * len(dtype))}")
    try:
        for name in names:
            folder, _, split = name.partition(":")
            data = sample_queries(read_dataset(sets / folder, split=split or None), n_queries=queries, seed=0)
            cells = _cells(rerankers, Candidates.of(data, top_k=documents))
            _say(f"| {name} | {len(data.queries)} | {' | '.join(cells)} |")
    finally:
        for reranker in rerankers.values():
            reranker.close()


def _cells(rerankers: Mapping[str, Reranker], candidates: Candidates) -> list[str]:
    runs = {name: candidates.ranked(reranker) for name, reranker in rerankers.items()}
    values = {name: ndcg_of(candidates.measured(run)) for name, run in runs.items()}
    exact = values[_EXACT]
    cells = [f"{mean(exact.values()):.4f}"]
    for name, run in runs.items():
        if name != _EXACT:
            p_value = compare_paired([values[name][key] for key in exact], list(exact.values())).p_value
            share = mean(top_overlap(list(run[key].values()), list(runs[_EXACT][key].values())) for key in run)
            cells += [f"{mean(values[name].values()):.4f}", f"{p_value:.2f}", f"{share:.3f}"]
    return cells


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    typer.run(main)
