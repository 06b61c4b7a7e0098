"""What tells likely answers from negatives: a reranker, or the embedder that found them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rerank_plugins.calls.calibrating import check_scope
from rerank_plugins.calls.known_scores import known_scores
from rerank_plugins.embedder import Embedder
from rerank_plugins.reranker import Reranker
from rerank_plugins.training.mining.choosing import Candidate

__all__ = ["CosineJudge", "RerankerJudge"]


class RerankerJudge:
    """Probabilities of a reranker.

    Args:
        reranker: Scores the pairs.

    Raises:
        InvalidInputError: Its scores mean something else in each call.
    """

    def __init__(self, reranker: Reranker) -> None:
        check_scope(reranker.spec, {"mining": True})
        self._reranker = reranker

    def scores(self, pairs: Sequence[tuple[str, str]], found: Sequence[Candidate | None]) -> list[float]:
        """Return the probability of each pair.

        Where a chat model gave no answer a candidate counts as one that answers, and a positive as none: what was not
        judged is never taken for a negative.
        """
        scores = known_scores(self._reranker, pairs)
        return [
            float(one is not None) if score is None else self._reranker.probability(score)
            for score, one in zip(scores, found, strict=True)
        ]


class CosineJudge:
    """Cosines of the first stage: those of what it found are known, those of positives and drawn texts are computed.

    Args:
        embedder: The one of the first stage.
    """

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder

    def scores(self, pairs: Sequence[tuple[str, str]], found: Sequence[Candidate | None]) -> list[float]:
        """Return the cosine of each pair."""
        known = [None if one is None else one.score for one in found]
        unknown = [pair for pair, score in zip(pairs, known, strict=True) if score is None]
        left = iter(self._cosines(unknown) if unknown else [])
        return [next(left) if score is None else score for score in known]

    def _cosines(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        queries = list(dict.fromkeys(query for query, _ in pairs))
        vectors = dict(zip(queries, self._embedder.embed_queries(queries), strict=True))
        texts = self._embedder.embed_documents([text for _, text in pairs])
        cosines = []
        for (query, _), text in zip(pairs, texts, strict=True):
            one = vectors[query]
            lengths = max(float(np.linalg.norm(one) * np.linalg.norm(text)), 1e-12)
            cosines.append(float(one @ text) / lengths)
        return cosines
