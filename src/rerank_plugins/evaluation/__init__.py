"""Measuring retrieval: datasets in BEIR layout, first stages, reranking, and the field's measures.

Needs ``pip install rerank-plugins[evaluation]`` for the measures (ir-measures) and BM25 (bm25s); both
are imported on first use.
"""

from __future__ import annotations

from rerank_plugins.evaluation.dataset import Dataset, Document, Qrels, pool_datasets, read_dataset, read_qrels
from rerank_plugins.evaluation.first_stage import retrieve
from rerank_plugins.evaluation.measures import Evaluation, evaluate, standard_measures
from rerank_plugins.evaluation.run import Run, TimedRun, ranked_ids, read_trec_run, write_trec_run
from rerank_plugins.evaluation.second_stage import rerank_run
from rerank_plugins.retrieval import BM25Index, DenseIndex, FirstStage

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
    "pool_datasets",
    "ranked_ids",
    "read_dataset",
    "read_qrels",
    "read_trec_run",
    "rerank_run",
    "retrieve",
    "standard_measures",
    "write_trec_run",
]
