"""Two-stage retrieval for pipelines that already work: one shared scoring core.

Importing this package imports neither torch nor a framework; names are resolved on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rerank_plugins.checks.optional import imported_on_use

if TYPE_CHECKING:
    from rerank_plugins.backends.chat import ChatScorer as ChatScorer
    from rerank_plugins.backends.remote import RemoteScorer as RemoteScorer
    from rerank_plugins.backends.remote_embedder import RemoteEmbedder as RemoteEmbedder
    from rerank_plugins.calibration import Calibration as Calibration
    from rerank_plugins.calls.explaining import Explanation as Explanation
    from rerank_plugins.catalog import ModelSpec as ModelSpec
    from rerank_plugins.composed import Cascade as Cascade
    from rerank_plugins.composed import Ensemble as Ensemble
    from rerank_plugins.embedder import Embedder as Embedder
    from rerank_plugins.embedding.cache import CacheStatistics as CacheStatistics
    from rerank_plugins.embedding.cache import QueryVectorCache as QueryVectorCache
    from rerank_plugins.embedding.kept import TokenVectorStore as TokenVectorStore
    from rerank_plugins.embedding.vectors import PairScores as PairScores
    from rerank_plugins.embedding.vectors import TextVectors as TextVectors
    from rerank_plugins.engine.score_cache import CacheInfo as CacheInfo
    from rerank_plugins.engine.score_cache import ScoreCache as ScoreCache
    from rerank_plugins.errors import DeadlineExceededError as DeadlineExceededError
    from rerank_plugins.errors import DeviceUnavailableError as DeviceUnavailableError
    from rerank_plugins.errors import EngineClosedError as EngineClosedError
    from rerank_plugins.errors import InvalidInputError as InvalidInputError
    from rerank_plugins.errors import MissingExtraError as MissingExtraError
    from rerank_plugins.errors import ModelError as ModelError
    from rerank_plugins.errors import ModelUnavailableError as ModelUnavailableError
    from rerank_plugins.errors import NotPicklableError as NotPicklableError
    from rerank_plugins.errors import OverloadedError as OverloadedError
    from rerank_plugins.errors import RemoteError as RemoteError
    from rerank_plugins.errors import RemoteUnavailableError as RemoteUnavailableError
    from rerank_plugins.errors import RerankPluginsError as RerankPluginsError
    from rerank_plugins.errors import ScoringError as ScoringError
    from rerank_plugins.errors import TrainingError as TrainingError
    from rerank_plugins.errors import UnknownAttributeError as UnknownAttributeError
    from rerank_plugins.errors import UnknownModelError as UnknownModelError
    from rerank_plugins.errors import UnknownOptionError as UnknownOptionError
    from rerank_plugins.errors import UnsafeModelError as UnsafeModelError
    from rerank_plugins.errors import UnsupportedModelError as UnsupportedModelError
    from rerank_plugins.errors import VectorStoreError as VectorStoreError
    from rerank_plugins.reranker import Reranker as Reranker
    from rerank_plugins.retrieval import RetrievedDocument as RetrievedDocument
    from rerank_plugins.retrieval import TwoStageRetriever as TwoStageRetriever
    from rerank_plugins.types import CallUsage as CallUsage
    from rerank_plugins.types import ChatUsage as ChatUsage
    from rerank_plugins.types import Document as Document
    from rerank_plugins.types import EngineOptions as EngineOptions
    from rerank_plugins.types import EngineStats as EngineStats
    from rerank_plugins.types import InstructionOptions as InstructionOptions
    from rerank_plugins.types import LayerOptions as LayerOptions
    from rerank_plugins.types import LongDocuments as LongDocuments
    from rerank_plugins.types import QueryExample as QueryExample
    from rerank_plugins.types import RankedDocument as RankedDocument
    from rerank_plugins.types import Ranking as Ranking
    from rerank_plugins.types import RemoteUsage as RemoteUsage
    from rerank_plugins.types import SourceOptions as SourceOptions
    from rerank_plugins.types import StageScore as StageScore
    from rerank_plugins.types import StageUsage as StageUsage
    from rerank_plugins.types import VectorOptions as VectorOptions
    from rerank_plugins.types import WindowSpan as WindowSpan

__version__ = "0.1.0"

__all__ = [
    "CacheInfo",
    "CacheStatistics",
    "Calibration",
    "CallUsage",
    "Cascade",
    "ChatScorer",
    "ChatUsage",
    "DeadlineExceededError",
    "DeviceUnavailableError",
    "Document",
    "Embedder",
    "EngineClosedError",
    "EngineOptions",
    "EngineStats",
    "Ensemble",
    "Explanation",
    "InstructionOptions",
    "InvalidInputError",
    "LayerOptions",
    "LongDocuments",
    "MissingExtraError",
    "ModelError",
    "ModelSpec",
    "ModelUnavailableError",
    "NotPicklableError",
    "OverloadedError",
    "PairScores",
    "QueryExample",
    "QueryVectorCache",
    "RankedDocument",
    "Ranking",
    "RemoteEmbedder",
    "RemoteError",
    "RemoteScorer",
    "RemoteUnavailableError",
    "RemoteUsage",
    "RerankPluginsError",
    "Reranker",
    "RetrievedDocument",
    "ScoreCache",
    "ScoringError",
    "SourceOptions",
    "StageScore",
    "StageUsage",
    "TextVectors",
    "TokenVectorStore",
    "TrainingError",
    "TwoStageRetriever",
    "UnknownAttributeError",
    "UnknownModelError",
    "UnknownOptionError",
    "UnsafeModelError",
    "UnsupportedModelError",
    "VectorOptions",
    "VectorStoreError",
    "WindowSpan",
    "__version__",
]

_HOME = {
    "CacheInfo": "engine.score_cache",
    "CacheStatistics": "embedding.cache",
    "Calibration": "calibration",
    "CallUsage": "types",
    "Cascade": "composed",
    "ChatScorer": "backends.chat",
    "ChatUsage": "types",
    "DeadlineExceededError": "errors",
    "DeviceUnavailableError": "errors",
    "Document": "types",
    "Embedder": "embedder",
    "EngineClosedError": "errors",
    "EngineOptions": "types",
    "EngineStats": "types",
    "Ensemble": "composed",
    "Explanation": "calls.explaining",
    "InstructionOptions": "types",
    "InvalidInputError": "errors",
    "LayerOptions": "types",
    "LongDocuments": "types",
    "MissingExtraError": "errors",
    "ModelError": "errors",
    "ModelSpec": "catalog",
    "ModelUnavailableError": "errors",
    "NotPicklableError": "errors",
    "OverloadedError": "errors",
    "PairScores": "embedding.vectors",
    "QueryExample": "types",
    "QueryVectorCache": "embedding.cache",
    "RankedDocument": "types",
    "Ranking": "types",
    "RemoteEmbedder": "backends.remote_embedder",
    "RemoteError": "errors",
    "RemoteScorer": "backends.remote",
    "RemoteUnavailableError": "errors",
    "RemoteUsage": "types",
    "RerankPluginsError": "errors",
    "Reranker": "reranker",
    "RetrievedDocument": "retrieval",
    "ScoreCache": "engine.score_cache",
    "ScoringError": "errors",
    "SourceOptions": "types",
    "StageScore": "types",
    "StageUsage": "types",
    "TextVectors": "embedding.vectors",
    "TokenVectorStore": "embedding.kept",
    "TrainingError": "errors",
    "TwoStageRetriever": "retrieval",
    "UnknownAttributeError": "errors",
    "UnknownModelError": "errors",
    "UnknownOptionError": "errors",
    "UnsafeModelError": "errors",
    "UnsupportedModelError": "errors",
    "VectorOptions": "types",
    "VectorStoreError": "errors",
    "WindowSpan": "types",
}


__getattr__ = imported_on_use(__name__, _HOME)


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted({*globals(), *__all__})
