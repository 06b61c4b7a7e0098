"""LangChain classes on the rerank_plugins core: compressors, a cross-encoder, embeddings and retrievers.

::

    ContextualCompressionRetriever(base_compressor=BgeRerankCompressor(top_n=5), base_retriever=...)

Objects with the same model share one set of weights in the process, with each other and with every
other adapter of the core.
"""

from langchain_rerank_plugins.chat import ChatRerankCompressor
from langchain_rerank_plugins.compressor import BaseRerankCompressor, RerankCompressor
from langchain_rerank_plugins.cross_encoder import RerankCrossEncoder
from langchain_rerank_plugins.embeddings import BceEmbeddings, BgeEmbeddings, InstructionEmbeddings
from langchain_rerank_plugins.first_stage import FirstStageRetriever
from langchain_rerank_plugins.models import (
    BceRerankCompressor,
    BgeLayerwiseRerankCompressor,
    BgeLightweightRerankCompressor,
    BgeLLMRerankCompressor,
    BgeRerankCompressor,
    QwenRerankCompressor,
)
from langchain_rerank_plugins.sentences import LateChunkingSplitter, SentenceRetriever
from langchain_rerank_plugins.two_stage import TwoStageRetriever

__all__ = [
    "BaseRerankCompressor",
    "BceEmbeddings",
    "BceRerankCompressor",
    "BgeEmbeddings",
    "BgeLLMRerankCompressor",
    "BgeLayerwiseRerankCompressor",
    "BgeLightweightRerankCompressor",
    "BgeRerankCompressor",
    "ChatRerankCompressor",
    "FirstStageRetriever",
    "InstructionEmbeddings",
    "LateChunkingSplitter",
    "QwenRerankCompressor",
    "RerankCompressor",
    "RerankCrossEncoder",
    "SentenceRetriever",
    "TwoStageRetriever",
]
