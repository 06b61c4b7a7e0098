"""Hybrid retrieval: fuses the results of several first stages."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from copy import copy
from typing import Annotated, Any, Literal

from rerank_plugins.checks.arguments import checked_call
from rerank_plugins.checks.kinds import Count, Within
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.ranking.fusion import reciprocal_rank_fusion, weighted_fusion
from rerank_plugins.retrieval.first_stage import FirstStage, check_search, grown_stage, search_many

__all__ = ["Fusion", "HybridIndex"]

Fusion = Literal["rrf", "weighted"]
"""``rrf``: reciprocal rank fusion, by ranks only. ``weighted``: a weighted sum of scores scaled to [0, 1]."""


class HybridIndex:
    """Fuses the results of several first stages.

    Args:
        stages: At least one; each is searched for every query.
        fusion: How; see :data:`Fusion`.
        weights: One for each stage; None weighs all the same.
        rrf_k: The constant of reciprocal rank fusion (60 in Cormack et al. 2009).
        depth: Documents requested of each stage, or ``top_k`` if that is more. A fixed depth makes the first ten of
            a search for a hundred those of a search for ten.

    Raises:
        InvalidInputError: An option cannot work.
    """

    @checked_call()
    def __init__(
        self,
        stages: Sequence[FirstStage],
        *,
        fusion: Fusion = "rrf",
        weights: Sequence[float] | None = None,
        rrf_k: Annotated[int, Within(0)] = 60,
        depth: Count = 100,
    ) -> None:
        if not stages:
            msg = "a hybrid needs at least one first stage, got none"
            raise InvalidInputError(msg)
        self._stages, self._fusion, self._depth = list(stages), fusion, depth
        self._weights, self._rrf_k = copy(weights), rrf_k
        self._fused([{} for _ in stages])

    @checked_call()
    def search(self, query: str, *, top_k: int) -> dict[str, float]:
        """Return at most ``top_k`` documents, best first. Errors of the stages are passed on."""
        query = check_search(query, top_k)
        found = [stage.search(query, top_k=max(top_k, self._depth)) for stage in self._stages]
        return self._cut(found, top_k)

    @checked_call()
    async def asearch(self, query: str, *, top_k: int) -> dict[str, float]:
        """Return what :meth:`search` returns, all stages at once, without blocking the event loop."""
        query = check_search(query, top_k)
        found = await asyncio.gather(*(stage.asearch(query, top_k=max(top_k, self._depth)) for stage in self._stages))
        return self._cut(found, top_k)

    @checked_call()
    def search_many(self, queries: Sequence[str], *, top_k: int) -> list[dict[str, float]]:
        """Return what :meth:`search` returns for each query."""
        texts = [check_search(query, top_k) for query in queries]
        depth = max(top_k, self._depth)
        found = [search_many(stage, texts, top_k=depth) for stage in self._stages]
        return [self._cut(one, top_k) for one in zip(*found, strict=True)]

    @property
    def stages(self) -> tuple[FirstStage, ...]:
        """The stages that are searched for every query."""
        return tuple(self._stages)

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that a saved retriever keeps, without those of the stages."""
        weights = None if self._weights is None else list(self._weights)
        return {
            "kind": "hybrid",
            "fusion": self._fusion,
            "weights": weights,
            "rrf_k": self._rrf_k,
            "depth": self._depth,
        }

    @checked_call(unchecked=("texts",))
    def with_texts(self, texts: Mapping[str, str]) -> HybridIndex:
        """Return a hybrid whose stages have these documents too.

        Raises:
            InvalidInputError: Documents cannot be added to one of the stages.
        """
        made = copy(self)
        made._stages = [grown_stage(stage, texts) for stage in self._stages]
        return made

    def _cut(self, found: Sequence[dict[str, float]], top_k: int) -> dict[str, float]:
        return dict(list(self._fused(found).items())[:top_k])

    def _fused(self, found: Sequence[dict[str, float]]) -> dict[str, float]:
        if self._fusion == "rrf":
            return reciprocal_rank_fusion(found, k=self._rrf_k, weights=self._weights)
        return weighted_fusion(found, weights=self._weights)
