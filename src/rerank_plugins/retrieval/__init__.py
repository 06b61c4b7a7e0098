"""Two-stage retrieval without a framework: BM25, dense (FAISS) and hybrid first stages, then any reranker.

::

    retriever = TwoStageRetriever.from_documents(texts, embedder="mini", reranker="mini", top_k=50, top_n=5)
    retriever.search("capital of France")

Needs ``pip install "rerank-plugins[retrieval]"`` (bm25s, faiss-cpu); both are imported on first use, and so is
what runs a model: BM25 and fusion need no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rerank_plugins.checks.optional import imported_on_use
from rerank_plugins.ranking.fusion import reciprocal_rank_fusion, weighted_fusion
from rerank_plugins.retrieval.bm25 import BM25Index
from rerank_plugins.retrieval.corpus import texts_by_id
from rerank_plugins.retrieval.first_stage import FirstStage
from rerank_plugins.retrieval.hybrid import Fusion, HybridIndex
from rerank_plugins.retrieval.passages import FoundPassage
from rerank_plugins.retrieval.results import RetrievedDocument
from rerank_plugins.retrieval.words import words

if TYPE_CHECKING:
    from rerank_plugins.retrieval.build import RetrieverName, build_first_stage
    from rerank_plugins.retrieval.dense import DenseIndex, embed_texts
    from rerank_plugins.retrieval.multi_vector import MultiVectorIndex
    from rerank_plugins.retrieval.sentences import SentenceIndex
    from rerank_plugins.retrieval.two_stage import TwoStageRetriever

__all__ = [
    "BM25Index",
    "DenseIndex",
    "FirstStage",
    "FoundPassage",
    "Fusion",
    "HybridIndex",
    "MultiVectorIndex",
    "RetrievedDocument",
    "RetrieverName",
    "SentenceIndex",
    "TwoStageRetriever",
    "build_first_stage",
    "embed_texts",
    "reciprocal_rank_fusion",
    "texts_by_id",
    "weighted_fusion",
    "words",
]

_HOMES = {
    "DenseIndex": "retrieval.dense",
    "MultiVectorIndex": "retrieval.multi_vector",
    "RetrieverName": "retrieval.build",
    "SentenceIndex": "retrieval.sentences",
    "TwoStageRetriever": "retrieval.two_stage",
    "build_first_stage": "retrieval.build",
    "embed_texts": "retrieval.dense",
}

__getattr__ = imported_on_use(__name__, _HOMES)
