"""Results go to JSON and back without loss."""

from __future__ import annotations

import pytest

from rerank_plugins.errors import InvalidInputError
from rerank_plugins.evaluation.results import (
    Cell,
    Comparison,
    Curve,
    CurvePoint,
    Estimate,
    EvaluationResults,
    Latency,
    System,
)


def test_json_there_and_back() -> None:
    system = System(retriever="dense", embedder="mini", reranker="mini", top_k=50, top_n=10)
    cell = Cell(
        dataset="a",
        system=system,
        measures={"nDCG@10": Estimate(0.5, 0.4, 0.6), "RR@10": Estimate(0.25)},
        against_first_stage={"nDCG@10": Comparison(0.1, 0.01)},
        n_queries=3,
        latency=Latency(1.5, 2.5),
        pairs_per_s=100.0,
        run_file="runs/a.trec",
    )
    curve = Curve(kind="growth", dataset="a", measure="nDCG@10", lines={"BM25": (CurvePoint(500, Estimate(0.1)),)})
    results = EvaluationResults(cells=(cell,), curves=(curve,), environment={"torch": "2.13.0"})
    assert EvaluationResults.from_json(results.to_json()) == results


def test_other_json_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="not evaluation results"):
        EvaluationResults.from_json('{"cells": 3}')
    with pytest.raises(InvalidInputError) as caught:
        EvaluationResults.from_json("a private text")
    assert "private" not in str(caught.value)
    assert "https:" not in str(caught.value)
