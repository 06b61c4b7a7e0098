"""``python -m benchmarks.cascades --sets FOLDER covidqa fiqa_closed:dev``: what a cascade loses on whole evaluate sets.

For some queries of each set in BEIR layout, BM25's best documents are ranked by ``mini``, and by a cascade that gives
``mini`` the best 15 % of what the static model (``--first``: another first stage) orders: the case ``cascade`` of
``make bench``, on sets of one's own.
"""

from __future__ import annotations

import statistics
import sys
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.cases.cascade import ALL, STAGES, best_candidates, open_both, ranked_by_both
from rerank_plugins.evaluation import evaluate, read_dataset, sample_queries
from rerank_plugins.evaluation.statistics import compare_paired

__all__ = ["main"]


def main(
    names: Annotated[list[str], typer.Argument(help="Sets: FOLDER[:SPLIT].")],
    *,
    sets: Annotated[Path, typer.Option(help="Folder of sets in BEIR layout.")],
    queries: Annotated[int, typer.Option(min=2, help="Queries of each set at most.")] = 40,
    documents: Annotated[int, typer.Option(min=10, help="Candidates of a query at most.")] = 1_000,
    dtype: Annotated[
        str, typer.Option(help="Precision of mini; int8 takes half the time where the CPU has it.")
    ] = "float32",
    first: Annotated[str, typer.Option(help="The first stage, such as ensemble:bm25,cosine:mini.")] = "cosine:mini",
    device: Annotated[str | None, typer.Option(help="Where the models run.")] = None,
) -> None:
    """Rank the same candidates both ways, in turns."""
    _say(f"| set | queries | candidates | s a query, {ALL} | {first}, then it | times | nDCG@10 | cascade | p |")
    _say("|---|---|---|---|---|---|---|---|---|")
    both = open_both(documents, device=device, dtype=dtype, first=first)
    try:
        for name in names:
            folder, _, split = name.partition(":")
            dataset = sample_queries(read_dataset(sets / folder, split=split or None), n_queries=queries, seed=0)
            candidates = best_candidates(dataset, documents)
            runs, seconds = ranked_by_both(both, dataset, candidates)
            measured = {system: evaluate(run, dataset.qrels) for system, run in runs.items()}
            all_s, stages_s = (statistics.median(seconds[system]) for system in (ALL, STAGES))
            before, after = (measured[system].mean("nDCG@10") for system in (ALL, STAGES))
            each = ([measured[system].per_query["nDCG@10"][key] for key in candidates] for system in (STAGES, ALL))
            p_value = compare_paired(*each).p_value
            most = max(map(len, candidates.values()))
            _say(
                f"| {name} | {len(candidates)} | {most} | {all_s:.2f} | {stages_s:.2f} | {all_s / stages_s:.1f} | "
                f"{before:.4f} | {after:.4f} | {p_value:.2f} |"
            )
    finally:
        for model in both.values():
            model.close()


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    typer.run(main)
