"""Two-stage retrieval for LlamaIndex on the shared core of ``rerank_plugins``."""

from llama_index.retrievers.rerank_plugins.base import TwoStageRetriever
from llama_index.retrievers.rerank_plugins.first_stage import FirstStageRetriever

__all__ = ["FirstStageRetriever", "TwoStageRetriever"]
