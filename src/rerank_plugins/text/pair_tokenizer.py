"""Turns queries and documents into model inputs, truncated by the family's rule or split into windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from rerank_plugins.errors import InvalidInputError
from rerank_plugins.protocols import TokenInput
from rerank_plugins.text.tokenizer import TextTokenizer, TokenizedText, is_blank
from rerank_plugins.text.truncation import cut_lengths, query_limit_with_windows
from rerank_plugins.text.windows import character_span, window_ranges
from rerank_plugins.types import LongDocuments, TruncationRule, WindowSpan

__all__ = ["BLANK_PAIR", "EncodedPair", "InputLayout", "PairSettings", "PairTokenizer"]


class InputLayout(Protocol):
    """How the ids of query and document are joined into one input, with special tokens or a prompt around them."""

    @property
    def query_prefix(self) -> str:
        """Text before every query, tokenised with it."""
        ...

    @property
    def document_prefix(self) -> str:
        """Text before every document, tokenised with it; every window keeps it."""
        ...

    @property
    def n_special(self) -> int:
        """Number of tokens that belong to neither text."""
        ...

    def room_tokens(self, max_length_tokens: int) -> int:
        """Return how many tokens of both texts, prefixes included, fit an input of a length."""
        ...

    def join(self, query: npt.NDArray[np.int32], document: npt.NDArray[np.int32]) -> TokenInput:
        """Lay out one pair."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PairSettings:
    """Settings of truncation and windows.

    Attributes:
        max_length_tokens: Tokens of an input, special tokens included.
        truncation: The family's rule for pairs that are too long.
        query_limit_tokens: Tokens of a query kept at most; None means the rule's own limit.
        long_documents: What happens to documents that do not fit.
        use_token_cache: Whether texts that were tokenised lately are looked up.
    """

    max_length_tokens: int
    truncation: TruncationRule
    query_limit_tokens: int | None
    long_documents: LongDocuments
    use_token_cache: bool = True

    @property
    def query_limit_for_truncation(self) -> int | None:
        """Tokens of a query kept when pairs are truncated, the rule's own limit included; None for no limit."""
        if self.query_limit_tokens is None and self.truncation == "only_second":
            # FlagEmbedding: query_max_length defaults to max_length * 3 // 4.
            return self.max_length_tokens * 3 // 4
        return self.query_limit_tokens


@dataclass(frozen=True, slots=True, eq=False)
class EncodedPair:
    """The inputs of one pair: one, or one per window; none for a blank document.

    Attributes:
        inputs: Model inputs in reading order.
        ranges: For each input the document's tokens in it, half-open, a prefix not counted.
        document: The document's tokens without a prefix; None if it is blank.
        truncated: Whether some of the document is in no input.
        cuts_query: Whether some of the query is in no input.
    """

    inputs: tuple[TokenInput, ...]
    ranges: tuple[tuple[int, int], ...]
    document: TokenizedText | None
    truncated: bool
    cuts_query: bool = False

    @property
    def n_inputs(self) -> int:
        """Number of inputs."""
        return len(self.inputs)

    def span(self, winner: int) -> WindowSpan | None:
        """Return the characters of the winning input, or None if it holds the whole document."""
        if self.document is None or (len(self.inputs) == 1 and not self.truncated):
            return None
        return character_span(self.document, *self.ranges[winner])


BLANK_PAIR = EncodedPair(inputs=(), ranges=(), document=None, truncated=False)
"""A pair with a blank document, which no model sees."""


class PairTokenizer:
    """Turns pairs of texts into model inputs. Stateless and thread-safe.

    Args:
        tokenizer: The model's tokenizer.
        layout: Where its special tokens, or the parts of its prompt, go.
        settings: How pairs are cut.

    Raises:
        InvalidInputError: The input is too short to hold a pair.
    """

    def __init__(self, tokenizer: TextTokenizer, layout: InputLayout, settings: PairSettings) -> None:
        self._tokenizer = tokenizer
        self._layout = layout
        self._settings = settings
        self._room = layout.room_tokens(settings.max_length_tokens)
        if self._room < 2:
            msg = (
                f"max_length={settings.max_length_tokens} leaves no room for a query and a document beside "
                f"{layout.n_special} special tokens; pass a larger max_length"
            )
            raise InvalidInputError(msg)
        self._check_prefix()

    def _check_prefix(self) -> None:
        """Raise if the text before a query takes all the tokens that a query may have."""
        n_prefix = len(self._tokenizer.encode_one(self._layout.query_prefix))
        limits = (self._room - 1, self._settings.query_limit_for_truncation, self._settings.query_limit_tokens)
        if n_prefix >= min(limit for limit in limits if limit is not None):
            msg = (
                f"max_length={self._settings.max_length_tokens} leaves no room for a query after the {n_prefix} "
                "tokens that stand before it; pass a larger max_length or query_max_length, or a shorter prompt"
            )
            raise InvalidInputError(msg)

    def encode(self, pairs: Sequence[tuple[str, str | None]]) -> list[EncodedPair]:
        """Return the inputs of each pair. Every distinct text is tokenised once."""
        guard = self._settings.long_documents.max_characters
        before_query, before_document = self._layout.query_prefix, self._layout.document_prefix
        queries = [before_query + query for query, _ in pairs]
        documents = ["" if is_blank(text) else before_document + str(text)[:guard] for _, text in pairs]
        tokens = self._tokenizer.encode(queries + documents, use_cache=self._settings.use_token_cache)
        return [
            BLANK_PAIR if is_blank(text) else self._encode(query, document, cut=len(str(text)) > guard)
            for query, document, (_, text) in zip(tokens[: len(pairs)], tokens[len(pairs) :], pairs, strict=True)
        ]

    def _encode(self, query: TokenizedText, document: TokenizedText, *, cut: bool) -> EncodedPair:
        prefix, own = document.split_prefix(len(self._layout.document_prefix))
        if self._settings.long_documents.strategy == "truncate":
            return self._truncated(query, prefix, own, cut=cut)
        return self._windows(query, prefix, own, cut=cut)

    def _truncated(
        self, query: TokenizedText, prefix: npt.NDArray[np.int32], document: TokenizedText, *, cut: bool
    ) -> EncodedPair:
        n_prefix = len(prefix)
        n_query, n_document = cut_lengths(
            self._settings.truncation,
            n_query=len(query),
            n_document=n_prefix + len(document),
            room=self._room,
            query_limit=self._settings.query_limit_for_truncation,
            document_limit=self._settings.max_length_tokens,
        )
        n_own = max(n_document - n_prefix, 0)
        one = self._layout.join(query.ids[:n_query], _joined(prefix[:n_document], document.ids[:n_own]))
        return EncodedPair((one,), ((0, n_own),), document, cut or n_own < len(document), n_query < len(query))

    def _windows(
        self, query: TokenizedText, prefix: npt.NDArray[np.int32], document: TokenizedText, *, cut: bool
    ) -> EncodedPair:
        settings = self._settings
        limit = settings.query_limit_tokens or query_limit_with_windows(
            max_length=settings.max_length_tokens, n_special=settings.max_length_tokens - self._room
        )
        kept = query.ids[: max(min(limit, self._room - len(prefix) - 1), 0)]
        room = max(min(self._room - len(kept), settings.max_length_tokens) - len(prefix), 1)
        overlap = settings.long_documents.overlap_tokens
        ranges = window_ranges(len(document), room=room, overlap=overlap)
        if settings.long_documents.strategy == "firstp":
            cut, ranges = cut or len(ranges) > 1, ranges[:1]
        inputs = tuple(self._layout.join(kept, _joined(prefix, document.ids[start:end])) for start, end in ranges)
        return EncodedPair(inputs, tuple(ranges), document, cut, len(kept) < len(query))


def _joined(prefix: npt.NDArray[np.int32], text: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    return np.concatenate([prefix, text]) if len(prefix) else text
