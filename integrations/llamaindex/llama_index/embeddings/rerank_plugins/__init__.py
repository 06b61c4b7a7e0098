"""Embeddings for LlamaIndex on the shared core of ``rerank_plugins``."""

from llama_index.embeddings.rerank_plugins.base import BceEmbedding, BgeEmbedding, InstructionEmbedding

__all__ = ["BceEmbedding", "BgeEmbedding", "InstructionEmbedding"]
