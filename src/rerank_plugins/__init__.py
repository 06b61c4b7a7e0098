"""Two-stage retrieval for pipelines that already work: one shared scoring core.

Importing this package imports neither torch nor a framework; names are resolved on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rerank_plugins.checks.optional import imported_on_use

if TYPE_CHECKING:
    from rerank_plugins.catalog import ModelSpec as ModelSpec
    from rerank_plugins.embedder import Embedder as Embedder
    from rerank_plugins.embedding.cache import CacheStatistics as CacheStatistics
    from rerank_plugins.embedding.vectors import PairScores as PairScores
    from rerank_plugins.embedding.vectors import TextVectors as TextVectors
    from rerank_plugins.engine.score_cache import ScoreCache as ScoreCache
    from rerank_plugins.errors import RerankPluginsError as RerankPluginsError
    from rerank_plugins.reranker import Reranker as Reranker
    from rerank_plugins.retrieval import RetrievedDocument as RetrievedDocument
    from rerank_plugins.retrieval import TwoStageRetriever as TwoStageRetriever
    from rerank_plugins.types import CallUsage as CallUsage
    from rerank_plugins.types import Document as Document
    from rerank_plugins.types import EngineOptions as EngineOptions
    from rerank_plugins.types import EngineStats as EngineStats
    from rerank_plugins.types import LayerOptions as LayerOptions
    from rerank_plugins.types import LongDocuments as LongDocuments
    from rerank_plugins.types import QueryExample as QueryExample
    from rerank_plugins.types import RankedDocument as RankedDocument
    from rerank_plugins.types import Ranking as Ranking
    from rerank_plugins.types import WindowSpan as WindowSpan

__version__ = "0.1.0"

__all__ = [
    "CacheStatistics",
    "CallUsage",
    "Document",
    "Embedder",
    "EngineOptions",
    "EngineStats",
    "LayerOptions",
    "LongDocuments",
    "ModelSpec",
    "PairScores",
    "QueryExample",
    "RankedDocument",
    "Ranking",
    "RerankPluginsError",
    "Reranker",
    "RetrievedDocument",
    "ScoreCache",
    "TextVectors",
    "TwoStageRetriever",
    "WindowSpan",
    "__version__",
]

_HOME = {
    "CacheStatistics": "embedding.cache",
    "Embedder": "embedder",
    "CallUsage": "types",
    "Document": "types",
    "EngineOptions": "types",
    "EngineStats": "types",
    "LayerOptions": "types",
    "LongDocuments": "types",
    "ModelSpec": "catalog",
    "PairScores": "embedding.vectors",
    "QueryExample": "types",
    "RankedDocument": "types",
    "Ranking": "types",
    "RerankPluginsError": "errors",
    "Reranker": "reranker",
    "ScoreCache": "engine.score_cache",
    "TextVectors": "embedding.vectors",
    "RetrievedDocument": "retrieval",
    "TwoStageRetriever": "retrieval",
    "WindowSpan": "types",
}


__getattr__ = imported_on_use(__name__, _HOME)


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted({*globals(), *__all__})
