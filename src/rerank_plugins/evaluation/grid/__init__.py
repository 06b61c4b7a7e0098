"""The grid: retriever × embedder × reranker × top_k × top_n on many datasets, resumable, with curves.

::

    data = usable_dataset(open_dataset("my.jsonl"))
    results = run_evaluation([data], GridOptions(embedders=("mini",), rerankers=("mini",)), "evaluation")
    results.cells[0].measures["nDCG@10"]
"""

from __future__ import annotations

from rerank_plugins.evaluation.grid.plan import DEFAULT_MEASURES, CurveOptions, GridOptions, ModelChoice
from rerank_plugins.evaluation.grid.session import RESULTS_FILE, run_evaluation

__all__ = ["DEFAULT_MEASURES", "RESULTS_FILE", "CurveOptions", "GridOptions", "ModelChoice", "run_evaluation"]
