"""Which words of a document carried its score: occlusion.

Each part of the text is left out in turn and the text scored again; the fall of the raw score is what the part
gave (Zeiler & Fergus 2014, arXiv:1311.2901; for text Li, Monroe & Jurafsky 2016, arXiv:1612.08220). It asks the
model itself and nothing about its insides, so that it is the same for every kind of reranker.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

from rerank_plugins.errors import InvalidInputError
from rerank_plugins.inputs import plain_text
from rerank_plugins.ranking.matches import TokenMatch, TokenMatches
from rerank_plugins.text.letters import WITHOUT_SPACES, marks
from rerank_plugins.types import WindowSpan

__all__ = ["ExplainedSpan", "Explanation", "Occlusion", "TokenExplanation"]


@cache
def _part() -> re.Pattern[str]:
    """Return what is left out at once: a word, or two characters of a script that is written without spaces."""
    alone, after = WITHOUT_SPACES, f"[{marks()}]"
    return re.compile(rf"(?:[{alone}]{after}*){{1,2}}|[^\W{alone}]+(?:{after}+[^\W{alone}]*)*")


@dataclass(frozen=True, slots=True)
class ExplainedSpan:
    """A part of the document.

    Attributes:
        start: First character in the document.
        end: Behind its last character.
        text: The part.
        drop: How much the raw score falls when the part is left out; negative if it rises.
    """

    start: int
    end: int
    text: str
    drop: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What each part of a document gave to its score.

    What it says: what this model's score would be without the part, all else unchanged. What it does not say:
    that the model reasons by that part; two parts that say the same each seem to give little, since the other
    one remains; drops do not add up to the score; a text with a word missing is unlike what the model was
    trained on. It is a way to look at a model, not a proof.

    Attributes:
        query: The question.
        document: The whole text.
        score: Raw score of what was read: the whole text, or the window.
        spans: The parts, in reading order.
        window: Characters that were looked at; None for all of them.
    """

    query: str
    document: str
    score: float
    spans: tuple[ExplainedSpan, ...]
    window: WindowSpan | None = None

    def top(self, n: int = 5) -> list[ExplainedSpan]:
        """Return the ``n`` parts without which the score falls most."""
        return sorted(self.spans, key=lambda span: -span.drop)[:n]

    def _repr_html_(self) -> str:
        """Show the text in a notebook, coloured by what each part gave."""
        from rerank_plugins.display import explanation_html

        return explanation_html(query=self.query, text=self.document, score=self.score, spans=self.spans)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenExplanation(Explanation):
    """Which token of a document answered which token of a query, and what that gave to the score: exactly.

    A late-interaction score is a sum (or a mean) over the query's vectors, each of which takes its best match in the
    document. Nothing is left out and scored again. ``spans`` are the document's tokens that answered something; the
    ``drop`` of each is the sum of the shares that it gave, and not how much the score would fall without it, since
    another token would answer then. What special tokens and markers gave is in ``matches`` alone.

    Attributes:
        matches: One for each of the query's vectors, in order. Their shares add up to the score. None where all tokens
            of the document are on the skip list, which makes the score the lowest there is.
    """

    matches: tuple[TokenMatch, ...]

    @classmethod
    def of(cls, query: str, document: str, found: TokenMatches) -> TokenExplanation:
        """Return the explanation of a score by its matches."""
        shares: dict[tuple[int, int], float] = {}
        for one in found.matches:
            if one.document_span is not None and one.document_span[0] < one.document_span[1]:
                shares[one.document_span] = shares.get(one.document_span, 0.0) + one.share
        spans = tuple(
            ExplainedSpan(start, end, document[start:end], share) for (start, end), share in sorted(shares.items())
        )
        return cls(
            query=query, document=document, score=found.score, spans=spans, window=found.window, matches=found.matches
        )

    def _repr_html_(self) -> str:
        """Show the text in a notebook, coloured by what each token gave, and the matches in a table."""
        from rerank_plugins.display import matches_html

        return matches_html(
            query=self.query, text=self.document, score=self.score, spans=self.spans, matches=self.matches
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Occlusion:
    """The texts to score for an explanation.

    Attributes:
        query: The question.
        document: The whole text.
        window: Characters to look at; None for all of them.
        parts: (start, end) of what is left out in turn.
        max_spans: Parts at most.
    """

    query: str
    document: str
    window: WindowSpan | None
    parts: tuple[tuple[int, int], ...]
    max_spans: int

    @classmethod
    def of(cls, query: str, document: str, *, max_spans: int) -> Occlusion:
        """Return a plan for the whole document.

        Raises:
            InvalidInputError: A wrong type, fewer than two words, or ``max_spans`` below 2.
        """
        if not isinstance(query, str) or not isinstance(document, str):
            msg = f"query and document must be strings, got {type(query).__name__} and {type(document).__name__}"
            raise InvalidInputError(msg)
        if isinstance(max_spans, bool) or not isinstance(max_spans, int) or max_spans < 2:
            msg = f"max_spans must be an integer of at least 2, got {max_spans!r}"
            raise InvalidInputError(msg)
        texts = plain_text(query), plain_text(document)
        plan = cls(query=texts[0], document=texts[1], window=None, parts=(), max_spans=max_spans)
        return plan.within(None)

    def within(self, window: WindowSpan | None) -> Occlusion:
        """Return the plan for a window of the document.

        Raises:
            InvalidInputError: There are fewer than two words, so that nothing remains when one is left out.
        """
        start, end = (0, len(self.document)) if window is None else (window.start, window.end)
        words = [match.span() for match in _part().finditer(self.document, start, end)]
        if len(words) < 2:
            msg = f"an explanation leaves words out one by one and needs at least two, got {len(words)}"
            raise InvalidInputError(msg)
        size = -(-len(words) // self.max_spans)
        # At least two parts, so that leaving one out never leaves nothing.
        size = min(size, -(-len(words) // 2))
        groups = [words[place : place + size] for place in range(0, len(words), size)]
        return replace(self, window=window, parts=tuple((group[0][0], group[-1][1]) for group in groups))

    @property
    def pairs(self) -> list[tuple[str, str | None]]:
        """What to score: the text as it is, then without each part."""
        start, end = (0, len(self.document)) if self.window is None else (self.window.start, self.window.end)
        texts = [self.document[start:end]]
        texts += [self.document[start:first] + self.document[last:end] for first, last in self.parts]
        return [(self.query, text) for text in texts]

    def explained(self, scores: Sequence[float]) -> Explanation:
        """Return the explanation, given the score of each of :attr:`pairs`."""
        spans = tuple(
            ExplainedSpan(start, end, self.document[start:end], scores[0] - score)
            for (start, end), score in zip(self.parts, scores[1:], strict=True)
        )
        return Explanation(query=self.query, document=self.document, score=scores[0], spans=spans, window=self.window)
