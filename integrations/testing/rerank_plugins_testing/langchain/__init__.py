"""Tests that any LangChain document compressor can inherit (langchain-tests has none for them)."""

from rerank_plugins_testing.langchain.compressors import (
    ALL_FEATURES,
    CompressorConformance,
    FixedRetriever,
    RunRecorder,
)

__all__ = ["ALL_FEATURES", "CompressorConformance", "FixedRetriever", "RunRecorder"]
