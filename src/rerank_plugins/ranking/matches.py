"""Which token of a document answered which token of a query: the parts of a late-interaction score, exactly."""

from __future__ import annotations

from dataclasses import dataclass

from rerank_plugins.types import CallUsage, WindowSpan

__all__ = ["TokenMatch", "TokenMatches"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenMatch:
    """The best match of one of a query's vectors.

    Attributes:
        query_token: The query's token, as the vocabulary spells it.
        query_span: Its characters in the query, half-open; None for a special token, a marker, or an expansion.
        is_expansion: Whether it is a token that fills the query up (``[MASK]``), whose vector the model made of the
            whole query.
        document_token: The document's token with the highest inner product; the first of equal ones.
        document_span: Its characters in the document, half-open; None for a special token or a marker.
        similarity: The inner product.
        share: What it gave to the score: the inner product, divided by the number of the query's vectors where a score
            is their mean. All shares add up to the score.
    """

    query_token: str
    query_span: tuple[int, int] | None
    is_expansion: bool
    document_token: str
    document_span: tuple[int, int] | None
    similarity: float
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenMatches:
    """The matches of a query's vectors in a document, or in one window of it.

    Attributes:
        matches: One for each of the query's vectors, in order; none where all tokens of the document are on the skip
            list, which makes the score the lowest there is.
        score: The raw score that they add up to.
        window: Characters of the window, or of the part that was read; None for the whole document.
        usage: What the call took.
        truncated: Whether some of the document is in no window.
    """

    matches: tuple[TokenMatch, ...]
    score: float
    window: WindowSpan | None
    usage: CallUsage
    truncated: bool = False
