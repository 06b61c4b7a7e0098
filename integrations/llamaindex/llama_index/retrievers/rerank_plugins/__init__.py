"""Two-stage retrieval for LlamaIndex on the shared core of ``rerank_plugins``."""

from llama_index.retrievers.rerank_plugins.base import TwoStageRetriever
from llama_index.retrievers.rerank_plugins.first_stage import FirstStageRetriever
from llama_index.retrievers.rerank_plugins.sentences import LateChunkingNodeParser, SentenceRetriever

__all__ = ["FirstStageRetriever", "LateChunkingNodeParser", "SentenceRetriever", "TwoStageRetriever"]
