"""Evaluation of retrieval and reranking: datasets, first stages, second stages, and the usual measures.

:mod:`rerank_plugins.evaluation.grid` runs whole grids of systems, as ``rerank-plugins evaluate`` does.

Needs ``pip install "rerank-plugins[evaluation]"`` for the measures (ir-measures) and first stages (bm25s, FAISS), which
are imported on first use. Parts that run no model need no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rerank_plugins.checks.optional import imported_on_use
from rerank_plugins.evaluation.checks import sample_queries, usable_dataset
from rerank_plugins.evaluation.dataset import Dataset, Document, Qrels, pool_datasets, read_dataset, read_qrels
from rerank_plugins.evaluation.first_stage import retrieve
from rerank_plugins.evaluation.formats import open_dataset
from rerank_plugins.evaluation.measures import Evaluation, evaluate, parse_measures, standard_measures
from rerank_plugins.evaluation.run import Run, TimedRun, in_order, ranked_ids, read_trec_run, write_trec_run
from rerank_plugins.evaluation.second_stage import rerank_run
from rerank_plugins.retrieval import BM25Index, FirstStage

if TYPE_CHECKING:
    from rerank_plugins.retrieval import DenseIndex

__all__ = [
    "BM25Index",
    "Dataset",
    "DenseIndex",
    "Document",
    "Evaluation",
    "FirstStage",
    "Qrels",
    "Run",
    "TimedRun",
    "evaluate",
    "in_order",
    "open_dataset",
    "parse_measures",
    "pool_datasets",
    "ranked_ids",
    "read_dataset",
    "read_qrels",
    "read_trec_run",
    "rerank_run",
    "retrieve",
    "sample_queries",
    "standard_measures",
    "usable_dataset",
    "write_trec_run",
]

__getattr__ = imported_on_use(__name__, {"DenseIndex": "retrieval.dense"})
