"""Sentences about systems whose reranking lowered a measure of their own first stage."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from rerank_plugins.evaluation.results import Cell, Comparison

__all__ = ["SIGNIFICANCE", "worse_cell", "worse_sentence"]

SIGNIFICANCE = 0.05


def worse_cell(cell: Cell, name: str, *, beyond_noise: Collection[str] | None = None) -> str:
    """Return the sentence about a cell of an evaluation; empty if reranking lowered no measure.

    Args:
        cell: What was measured.
        name: The name of its system.
        beyond_noise: The measures whose difference is significant; None asks each p-value by itself.
    """
    return worse_sentence(
        f"{cell.dataset}, {name}",
        after={measure: estimate.value for measure, estimate in cell.measures.items()},
        against=cell.against_first_stage,
        n_queries=cell.n_queries,
        beyond_noise=beyond_noise,
    )


def worse_sentence(
    where: str,
    *,
    after: Mapping[str, float],
    against: Mapping[str, Comparison],
    n_queries: int,
    beyond_noise: Collection[str] | None = None,
) -> str:
    """Return which measures reranking lowered, by how much, and whether that is noise; empty if it lowered none.

    Args:
        where: The data, and the system if there are several.
        after: Measure to its mean with reranking.
        against: Measure to its comparison with the first stage (paired randomisation test).
        n_queries: Queries that were compared.
        beyond_noise: The measures whose difference is significant, after a correction for example; None takes those
            with p < 0.05.
    """
    if beyond_noise is None:
        beyond_noise = {measure for measure, one in against.items() if one.p_value < SIGNIFICANCE}
    parts = [
        f"{measure} from {after[measure] - one.difference:.3f} to {after[measure]:.3f} "
        f"({'more than' if measure in beyond_noise else 'within'} noise, p = {one.p_value:.2g})"
        for measure, one in against.items()
        # Values that are equal as printed are not mentioned.
        if measure in after and round(after[measure] - one.difference, 3) > round(after[measure], 3)
    ]
    if not parts:
        return ""
    questions = "1 question" if n_queries == 1 else f"{n_queries:,} questions"
    return f"{where}: reranking lowered {', '.join(parts)}; {questions}."
