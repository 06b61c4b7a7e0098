"""The methods of a reranker that give raw scores, of pairs, of layers, of a stream, and what they came from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rerank_plugins.calls.driving import adrive, drive
from rerank_plugins.calls.explaining import Explanation
from rerank_plugins.calls.facts import RerankerFacts
from rerank_plugins.calls.streaming import CHUNK_PAIRS, score_stream
from rerank_plugins.checks.arguments import checked_call
from rerank_plugins.checks.kinds import Count, Seconds
from rerank_plugins.inputs import check_iterable
from rerank_plugins.types import LayerOptions

__all__ = ["ScoringMethods"]


class ScoringMethods(RerankerFacts):
    """Raw scores, as the model gives them, and their explanation."""

    @checked_call(unchecked=("pairs",))
    def score(
        self,
        pairs: Sequence[tuple[str, str | None]],
        *,
        layers: LayerOptions | None = None,
        deadline_s: Seconds | None = None,
    ) -> list[float]:
        """Return the raw score of each (query, document) pair, in input order.

        Args:
            pairs: What to score. A blank or None document scores ``BLANK_DOCUMENT_SCORE``.
            layers: The one layer of a layerwise LLM reranker that scores are read from; None takes the object's own.
            deadline_s: Seconds after which to give up; None takes the object's own deadline.

        Raises:
            InvalidInputError: An element is not a pair of strings, or the model cannot do what ``layers`` asks.
            ScoringError: The model returned NaN or infinity.
            DeadlineExceededError: The time is over.
            OverloadedError: More work waits than the engine options allow.
            EngineClosedError: ``close()`` was called.
        """
        return drive(self._backend, self._calls.score(pairs, layers=layers, deadline_s=deadline_s))

    @checked_call(unchecked=("pairs",))
    async def ascore(
        self,
        pairs: Sequence[tuple[str, str | None]],
        *,
        layers: LayerOptions | None = None,
        deadline_s: Seconds | None = None,
    ) -> list[float]:
        """Return what :meth:`score` returns, without blocking the event loop."""
        return await adrive(self._backend, self._calls.score(pairs, layers=layers, deadline_s=deadline_s))

    @checked_call(unchecked=("pairs",))
    def score_layers(
        self,
        pairs: Sequence[tuple[str, str | None]],
        *,
        layers: LayerOptions | None = None,
        deadline_s: Seconds | None = None,
    ) -> list[list[float]]:
        """Return for each pair the raw scores of all asked layers, in the order of ``cutoff_layers``.

        The model runs once, to the deepest layer.

        Raises:
            InvalidInputError: As in :meth:`score`, or the model has no layers to choose.
        """
        return drive(self._backend, self._calls.score_layers(pairs, layers=layers, deadline_s=deadline_s))

    @checked_call(unchecked=("pairs",))
    async def ascore_layers(
        self,
        pairs: Sequence[tuple[str, str | None]],
        *,
        layers: LayerOptions | None = None,
        deadline_s: Seconds | None = None,
    ) -> list[list[float]]:
        """Return what :meth:`score_layers` returns, without blocking the event loop."""
        return await adrive(self._backend, self._calls.score_layers(pairs, layers=layers, deadline_s=deadline_s))

    @checked_call(unchecked=("pairs",))
    def score_stream(
        self,
        pairs: Iterable[tuple[str, str | None]],
        *,
        layers: LayerOptions | None = None,
        chunk_pairs: Count = CHUNK_PAIRS,
        deadline_s: Seconds | None = None,
    ) -> Iterator[float]:
        """Yield the raw score of each pair, in order, for any number of pairs in flat memory.

        Pairs are read, tokenised and queued a little ahead of the one whose score is wanted. To go on after a break,
        pass the pairs that have no score yet (``rerank-plugins score`` does that with files).

        Args:
            pairs: What to score; a generator is read as its scores are taken.
            layers: See :meth:`score`.
            chunk_pairs: Pairs that are sorted by length and queued together; more read further ahead.
            deadline_s: Seconds from now for the whole stream; None never gives up, whatever the engine options say of
                other calls.

        Raises:
            InvalidInputError: As in :meth:`score`, when the wrong element is reached.
            ScoringError: The model returned NaN or infinity.
            EngineClosedError: ``close()`` was called.
        """
        options = self._calls.stream_options(layers, deadline_s)
        checked = check_iterable(pairs, name="pairs")
        return score_stream(self._backend, checked, options, self._calls.scores, chunk_pairs=chunk_pairs)

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
