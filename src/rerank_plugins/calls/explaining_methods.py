"""The part of the reranking facade that explains a score."""

from __future__ import annotations

from rerank_plugins.calls.driving import adrive, drive
from rerank_plugins.calls.explaining import Explanation
from rerank_plugins.calls.facts import RerankerFacts
from rerank_plugins.checks.arguments import checked_call
from rerank_plugins.checks.kinds import Seconds
from rerank_plugins.types import LayerOptions

__all__ = ["ExplainingMethods"]


class ExplainingMethods(RerankerFacts):
    """What a score is made of."""

    @checked_call()
    def explain(
        self,
        query: str,
        document: str,
        *,
        max_spans: int = 64,
        layers: LayerOptions | None = None,
        deadline_s: Seconds | None = None,
    ) -> Explanation:
        """Return which words of a document carried its score, by leaving each of them out in turn.

        All versions are scored in one call. See :class:`~rerank_plugins.calls.explaining.Explanation` for what the
        figures mean and what they do not. A late-interaction model leaves nothing out: it tells which token of the
        document answered which token of the query
        (:class:`~rerank_plugins.calls.explaining.TokenExplanation`), exactly and from one forward pass.

        Args:
            query: The question.
            document: A text of at least two words. Of a long one, only the window that the score is read from.
            max_spans: Parts left out at most; where there are more words, neighbours are left out together. Not
                used by late interaction.
            layers: See :meth:`score`.
            deadline_s: Seconds for all of it; see :meth:`score`.

        Raises:
            InvalidInputError: A wrong type, fewer than two words, or ``max_spans`` below 2.
            ScoringError: The model returned NaN or infinity.
            DeadlineExceededError: The time is over.
            EngineClosedError: ``close()`` was called.
        """
        steps = self._calls.explain(query, document, max_spans=max_spans, layers=layers, deadline_s=deadline_s)
        return drive(self._backend, steps)

    @checked_call()
    async def aexplain(
        self,
        query: str,
        document: str,
        *,
        max_spans: int = 64,
        layers: LayerOptions | None = None,
        deadline_s: Seconds | None = None,
    ) -> Explanation:
        """Return what :meth:`explain` returns, without blocking the event loop."""
        steps = self._calls.explain(query, document, max_spans=max_spans, layers=layers, deadline_s=deadline_s)
        return await adrive(self._backend, steps)
