"""Pairs in a prompt that is tokenised as one text, as the model was trained.

Tokens may form across the parts ("?" and a line break are one token in Qwen's vocabulary, " The" one in a document that
follows a blank), so a pair is never joined from the ids of its parts. Instead the whole text is tokenised, and the
tokenizer's own offsets say which part a token belongs to: a token with characters of two parts belongs to the later
one. A pair that fits therefore has exactly the ids of the whole text. A later window of a long document has the same
tokens as the whole document has there, after the same prefix.

References: the card of Qwen/Qwen3-Reranker-0.6B; castorini/pygaggle ``T5BatchTokenizer``. One difference: pygaggle
loses " Relevant:" when a document does not fit; here the text after the document is never cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from rerank_plugins.catalog.templates import PairTemplate
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.protocols import PairSegments, TokenInput
from rerank_plugins.text.pair_tokenizer import BLANK_PAIR, EncodedPair, PairSettings
from rerank_plugins.text.prompts import fixed_ids
from rerank_plugins.text.tokenizer import TextTokenizer, TokenizedText, is_blank
from rerank_plugins.text.truncation import cut_lengths, query_limit_with_windows
from rerank_plugins.text.windows import window_ranges

__all__ = ["WholePairTokenizer"]

_Ids = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class _Tokens:
    """The tokens of one pair by part: ``intro query bridge document tail``."""

    intro: _Ids
    query: _Ids
    bridge: _Ids
    document: TokenizedText
    tail: _Ids

    @property
    def n_fixed(self) -> int:
        return len(self.intro) + len(self.bridge) + len(self.tail)


class WholePairTokenizer:
    """Turns pairs of texts into model inputs. Stateless and thread-safe.

    Args:
        tokenizer: The model's tokenizer.
        template: The texts around query and document.
        prompt: The instruction; empty for none.
        settings: How pairs are cut.

    Raises:
        InvalidInputError: The input is too short to hold the prompt and a pair.
        UnsupportedModelError: The tokenizer lacks a special token of the template.
    """

    def __init__(self, tokenizer: TextTokenizer, template: PairTemplate, prompt: str, settings: PairSettings) -> None:
        self._tokenizer = tokenizer
        self._settings = settings
        self._before = template.query_prefix(prompt)
        self._between = template.between + template.before_document
        self._after = template.after_document
        self._opening = np.array(fixed_ids(tokenizer, template.opening), dtype=np.int32)
        self._closing = np.array(fixed_ids(tokenizer, template.closing_texts(prompt)), dtype=np.int32)
        self._room = settings.max_length_tokens - len(self._opening) - len(self._closing)
        n_around = len(tokenizer.encode_one(self._before + self._between + self._after))
        if self._room - n_around < 2:
            msg = (
                f"max_length={settings.max_length_tokens} leaves no room for a query and a document beside the "
                f"{len(self._opening) + len(self._closing) + n_around} tokens of the prompt; pass a larger max_length "
                "or a shorter prompt"
            )
            raise InvalidInputError(msg)

    def encode(self, pairs: Sequence[tuple[str, str | None]]) -> list[EncodedPair]:
        """Return the inputs of each pair. Every distinct pair is tokenised once."""
        guard = self._settings.long_documents.max_characters
        kept = [(query, "" if is_blank(text) else str(text)[:guard]) for query, text in pairs]
        texts = [self._before + query + self._between + text + self._after if text else "" for query, text in kept]
        wholes = self._tokenizer.encode(texts, use_cache=self._settings.use_token_cache)
        return [
            self._encode(self._split(whole, query, text), cut=len(text) < len(str(document))) if text else BLANK_PAIR
            for whole, (query, text), (_, document) in zip(wholes, kept, pairs, strict=True)
        ]

    def _split(self, whole: TokenizedText, query: str, document: str) -> _Tokens:
        ends = np.cumsum([len(part) for part in (self._before, query, self._between, document)]).tolist()
        marks = [0, *(whole.token_at(end) for end in ends), len(whole)]
        # If a tokenizer's offsets decrease in a few places, no part may get a negative length.
        marks = np.maximum.accumulate(marks).tolist()
        intro, query_ids, bridge, _, tail = (whole.ids[start:end] for start, end in pairwise(marks))
        own = TokenizedText(whole.ids[marks[3] : marks[4]], whole.encoding, marks[3], ends[2])
        return _Tokens(intro, query_ids, bridge, own, tail)

    def _encode(self, tokens: _Tokens, *, cut: bool) -> EncodedPair:
        settings = self._settings
        room = self._room - tokens.n_fixed
        if settings.long_documents.strategy == "truncate":
            return self._truncated(tokens, room, cut=cut)
        limit = settings.query_limit_tokens or query_limit_with_windows(
            max_length=settings.max_length_tokens, n_special=settings.max_length_tokens - room
        )
        query = tokens.query[: max(min(limit, room - 1), 0)]
        ranges = window_ranges(
            len(tokens.document),
            room=max(room - len(query), 1),
            overlap=settings.long_documents.overlap_tokens,
        )
        if settings.long_documents.strategy == "firstp":
            cut, ranges = cut or len(ranges) > 1, ranges[:1]
        inputs = tuple(self._join(tokens, query, tokens.document.ids[start:end]) for start, end in ranges)
        return EncodedPair(inputs, tuple(ranges), tokens.document, cut, len(query) < len(tokens.query))

    def _truncated(self, tokens: _Tokens, room: int, *, cut: bool) -> EncodedPair:
        settings = self._settings
        n_query, n_own = cut_lengths(
            settings.truncation,
            n_query=len(tokens.query),
            n_document=len(tokens.document),
            room=max(room, 1),
            query_limit=settings.query_limit_for_truncation,
        )
        limit = settings.query_limit_tokens
        wanted = len(tokens.query) if limit is None else min(limit, len(tokens.query))
        if settings.truncation == "end" and wanted > room:
            one, n_own = self._cut_within_query(tokens, tokens.query[:wanted]), 0
        else:
            one = self._join(tokens, tokens.query[:n_query], tokens.document.ids[:n_own])
        cut = cut or n_own < len(tokens.document)
        return EncodedPair((one,), ((0, n_own),), tokens.document, cut, n_query < len(tokens.query))

    def _cut_within_query(self, tokens: _Tokens, query: _Ids) -> TokenInput:
        """Return an input that ends within the query or the text after it, as if the whole text were truncated."""
        body = np.concatenate([tokens.intro, query, tokens.bridge])[: self._room - len(tokens.tail)]
        ids = np.concatenate([self._opening, body, tokens.tail, self._closing])
        start = len(self._opening) + min(len(tokens.intro), len(body))
        end = len(self._opening) + len(body)
        query_end = min(len(self._opening) + len(tokens.intro) + len(query), end)
        return TokenInput(ids, np.zeros_like(ids), PairSegments(start, query_end, end, end))

    def _join(self, tokens: _Tokens, query: _Ids, document: _Ids) -> TokenInput:
        parts = [self._opening, tokens.intro, query, tokens.bridge, document, tokens.tail, self._closing]
        ids = np.concatenate(parts)
        ends = np.cumsum([len(part) for part in parts]).tolist()
        return TokenInput(ids, np.zeros_like(ids), PairSegments(ends[1], ends[2], ends[3], ends[4]))
