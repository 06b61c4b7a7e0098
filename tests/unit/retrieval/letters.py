"""Stand-ins for models, whose numbers can be worked out by hand."""

from __future__ import annotations

import numpy as np

from rerank_plugins.embedder import Embedder
from rerank_plugins.reranker import Reranker
from rerank_plugins.types import RankedDocument


class LetterEmbedder(Embedder):
    """Counts letters."""

    def __init__(self) -> None:
        self.n_embedded = 0

    def embed_documents(self, documents: list[str]) -> np.ndarray:
        self.n_embedded += len(documents)
        return np.array([[text.count(letter) for letter in "acdgst"] for text in documents], dtype=np.float32)

    def embed_queries(self, queries: list[str]) -> np.ndarray:
        return self.embed_documents(queries)

    async def aembed_queries(self, queries: list[str]) -> np.ndarray:
        return self.embed_documents(queries)


class LengthReranker(Reranker):
    """Prefers short documents."""

    def __init__(self) -> None:
        self.n_scored = 0

    def rank(self, query: str, documents: list[str], **_: object) -> list[RankedDocument]:
        self.n_scored += len(documents)
        order = sorted(range(len(documents)), key=lambda i: len(documents[i]))
        return [
            RankedDocument(
                index=i,
                score=-float(len(documents[i])),
                probability=1 / (1 + len(documents[i])),
                rank=r,
                document=documents[i],
            )
            for r, i in enumerate(order, start=1)
        ]

    async def arank(self, query: str, documents: list[str], **_: object) -> list[RankedDocument]:
        return self.rank(query, documents)
