"""Queries and documents to model inputs: cut by the family's rule, or split into windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rerank_plugins.errors import InvalidInputError
from rerank_plugins.protocols import TokenInput
from rerank_plugins.text.pairs import PairLayout
from rerank_plugins.text.tokenizer import TextEncoder, TokenizedText, is_blank
from rerank_plugins.text.truncation import cut_lengths, query_limit_with_windows
from rerank_plugins.text.windows import character_span, window_ranges
from rerank_plugins.types import LongDocuments, TruncationRule, WindowSpan

__all__ = ["EncodedPair", "PairEncoder", "PairSettings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PairSettings:
    """How pairs are cut.

    Attributes:
        max_length_tokens: Tokens of an input, special tokens included.
        truncation: The family's rule for pairs that are too long.
        query_limit_tokens: Tokens of a query kept at most; None means the rule's own limit.
        long_documents: What happens to documents that do not fit.
    """

    max_length_tokens: int
    truncation: TruncationRule
    query_limit_tokens: int | None
    long_documents: LongDocuments


@dataclass(frozen=True, slots=True, eq=False)
class EncodedPair:
    """The inputs of one pair: one, or one per window; none for a blank document.

    Attributes:
        inputs: Model inputs in reading order.
        ranges: For each input the document's tokens in it, half-open.
        document: The document's tokens; None if it is blank.
        truncated: Whether some of the document is in no input.
    """

    inputs: tuple[TokenInput, ...]
    ranges: tuple[tuple[int, int], ...]
    document: TokenizedText | None
    truncated: bool

    def span(self, winner: int) -> WindowSpan | None:
        """Return the characters of the winning input, or None if it holds the whole document."""
        if self.document is None or (len(self.inputs) == 1 and not self.truncated):
            return None
        return character_span(self.document, *self.ranges[winner])


_BLANK = EncodedPair(inputs=(), ranges=(), document=None, truncated=False)


class PairEncoder:
    """Makes model inputs from pairs of texts. Stateless, safe from any number of threads.

    Args:
        encoder: The model's tokenizer.
        layout: Where its special tokens go.
        settings: How pairs are cut.

    Raises:
        InvalidInputError: The input is too short to hold a pair.
    """

    def __init__(self, encoder: TextEncoder, layout: PairLayout, settings: PairSettings) -> None:
        self._encoder = encoder
        self._layout = layout
        self._settings = settings
        self._room = settings.max_length_tokens - layout.n_special
        if self._room < 2:
            msg = (
                f"max_length={settings.max_length_tokens} leaves no room for a query and a document beside "
                f"{layout.n_special} special tokens; pass a larger max_length"
            )
            raise InvalidInputError(msg)

    def encode(self, pairs: Sequence[tuple[str, str | None]]) -> list[EncodedPair]:
        """Return the inputs of each pair; every different text is tokenised once."""
        guard = self._settings.long_documents.max_characters
        queries = self._encoder.encode([query for query, _ in pairs])
        documents = self._encoder.encode(["" if is_blank(text) else str(text)[:guard] for _, text in pairs])
        return [
            _BLANK if is_blank(text) else self._encode(query, document, cut=len(str(text)) > guard)
            for query, document, (_, text) in zip(queries, documents, pairs, strict=True)
        ]

    def _encode(self, query: TokenizedText, document: TokenizedText, *, cut: bool) -> EncodedPair:
        if self._settings.long_documents.strategy == "truncate":
            return self._truncated(query, document, cut=cut)
        return self._windows(query, document, cut=cut)

    def _truncated(self, query: TokenizedText, document: TokenizedText, *, cut: bool) -> EncodedPair:
        n_query, n_document = cut_lengths(
            self._settings.truncation,
            n_query=len(query),
            n_document=len(document),
            room=self._room,
            query_limit=self._query_limit(),
        )
        one = self._layout.join(query.ids[:n_query], document.ids[:n_document])
        return EncodedPair((one,), ((0, n_document),), document, cut or n_document < len(document))

    def _windows(self, query: TokenizedText, document: TokenizedText, *, cut: bool) -> EncodedPair:
        settings = self._settings
        limit = settings.query_limit_tokens or query_limit_with_windows(
            max_length=settings.max_length_tokens, n_special=self._layout.n_special
        )
        kept = query.ids[: min(limit, self._room - 1)]
        overlap = settings.long_documents.overlap_tokens
        ranges = window_ranges(len(document), room=self._room - len(kept), overlap=overlap)
        if settings.long_documents.strategy == "firstp":
            cut, ranges = cut or len(ranges) > 1, ranges[:1]
        inputs = tuple(self._layout.join(kept, document.ids[start:end]) for start, end in ranges)
        return EncodedPair(inputs, tuple(ranges), document, cut)

    def _query_limit(self) -> int | None:
        limit = self._settings.query_limit_tokens
        if limit is None and self._settings.truncation == "only_second":
            # FlagEmbedding: query_max_length defaults to max_length * 3 // 4.
            return self._settings.max_length_tokens * 3 // 4
        return limit
