"""``python -m benchmarks.precision --sets FOLDER stackfaq wikiqa:dev``: what a model's precision does to its rankings.

For some queries of each set in BEIR layout, BM25's best documents are ranked in float32 and in other precisions. Three
figures each: nDCG@10, the p of the paired test that it is another one, and which part of the ten best in float32 is
among the ten best.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Annotated

import typer

from benchmarks.compare import top_overlap
from rerank_plugins import Reranker
from rerank_plugins.evaluation import Dataset, evaluate, read_dataset, sample_queries
from rerank_plugins.evaluation.statistics import compare_paired
from rerank_plugins.retrieval import BM25Index

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
            _say(f"| {name} | {len(data.queries)} | {' | '.join(_cells(rerankers, data, documents))} |")
    finally:
        for reranker in rerankers.values():
            reranker.close()


def _cells(rerankers: Mapping[str, Reranker], data: Dataset, documents: int) -> list[str]:
    index, texts = BM25Index(data.texts), data.texts
    found = {key: list(index.search(query, top_k=documents)) for key, query in data.queries.items()}
    runs = {
        name: {key: _scores(reranker, data.queries[key], ids, texts) for key, ids in found.items() if ids}
        for name, reranker in rerankers.items()
    }
    measured = {name: evaluate(run, data.qrels) for name, run in runs.items()}
    exact = measured[_EXACT].per_query["nDCG@10"]
    cells = [f"{measured[_EXACT].mean('nDCG@10'):.4f}"]
    for name, run in runs.items():
        if name != _EXACT:
            each = measured[name].per_query["nDCG@10"]
            p_value = compare_paired([each[key] for key in exact], list(exact.values())).p_value
            share = mean(top_overlap(list(run[key].values()), list(runs[_EXACT][key].values())) for key in run)
            cells += [f"{measured[name].mean('nDCG@10'):.4f}", f"{p_value:.2f}", f"{share:.3f}"]
    return cells


def _scores(reranker: Reranker, query: str, ids: Sequence[str], texts: Mapping[str, str]) -> dict[str, float]:
    return dict(zip(ids, reranker.score([(query, texts[one]) for one in ids]), strict=True))


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    typer.run(main)
