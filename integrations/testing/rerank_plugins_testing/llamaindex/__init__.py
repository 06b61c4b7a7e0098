"""Tests that any LlamaIndex reranking postprocessor or embedding can inherit."""

from rerank_plugins_testing.llamaindex.embeddings import EmbeddingConformance
from rerank_plugins_testing.llamaindex.postprocessors import (
    ConcurrencyConformance,
    DeadlineConformance,
    PostprocessorConformance,
    Recording,
    ResultConformance,
    SettingsConformance,
    TracingConformance,
    recording,
)

__all__ = [
    "ConcurrencyConformance",
    "DeadlineConformance",
    "EmbeddingConformance",
    "PostprocessorConformance",
    "Recording",
    "ResultConformance",
    "SettingsConformance",
    "TracingConformance",
    "recording",
]
