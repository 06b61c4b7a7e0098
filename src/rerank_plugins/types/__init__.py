"""The values that cross the public boundary: options that go in, results that come out."""

from rerank_plugins.types.options import (
    EngineOptions,
    InstructionOptions,
    LayerOptions,
    LongDocuments,
    LongDocumentStrategy,
    Pooling,
    QueryExample,
    SourceOptions,
    TruncationRule,
    VectorOptions,
)
from rerank_plugins.types.results import (
    BLANK_DOCUMENT_SCORE,
    CallUsage,
    ChatUsage,
    Document,
    EngineStats,
    RankedDocument,
    Ranking,
    RemoteUsage,
    ScoreUnit,
    WindowSpan,
)
from rerank_plugins.types.stages import StageScore, StageUsage

__all__ = [
    "BLANK_DOCUMENT_SCORE",
    "CallUsage",
    "ChatUsage",
    "Document",
    "EngineOptions",
    "EngineStats",
    "InstructionOptions",
    "LayerOptions",
    "LongDocumentStrategy",
    "LongDocuments",
    "Pooling",
    "QueryExample",
    "RankedDocument",
    "Ranking",
    "RemoteUsage",
    "ScoreUnit",
    "SourceOptions",
    "StageScore",
    "StageUsage",
    "TruncationRule",
    "VectorOptions",
    "WindowSpan",
]
