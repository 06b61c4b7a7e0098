"""Queries and documents as a late-interaction model reads them: apart, with markers, queries filled up.

``[CLS] marker text [SEP]`` for both; behind a query the tokens that fill it up. Markers are joined as ids, so that
a text cannot contain one (colbert-ai, PyLate); a prompt is tokenised with the text (sentence-transformers).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from rerank_plugins.catalog.late_interaction import LateInteraction, TokenSide
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.protocols import TokenInput
from rerank_plugins.text.late_vocabulary import LateVocabulary
from rerank_plugins.text.pairs import TextLayout
from rerank_plugins.text.tokenizer import TextTokenizer, TokenizedText, is_blank
from rerank_plugins.text.windows import character_span, window_ranges
from rerank_plugins.types import LongDocuments, WindowSpan

__all__ = ["LateDocument", "LateInputs", "LateLengths", "LateText"]

_TRUNCATE = LongDocuments()
_Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class LateLengths:
    """Tokens of inputs, everything included.

    Attributes:
        query: A query's at most.
        document: A document's, or of each of its windows.
        query_own: Those of a query's own text at most; None for what fits.
    """

    query: int
    document: int
    query_own: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class LateText:
    """One input of one text.

    Attributes:
        input: What the model reads.
        kept: Which of its tokens get a vector. Shape: (tokens,).
        start: Tokens in front of the text's own.
        tokens: The text's own tokens, from which their characters are read; None if nobody asks.
        first: Which of these is the first in the input.
        n_own: How many of them are in it.
        n_filled: Tokens behind the text that fill it up (queries).
    """

    input: TokenInput
    kept: _Bools
    start: int
    tokens: TokenizedText | None
    first: int
    n_own: int
    n_filled: int = 0

    @property
    def key(self) -> Hashable:
        """What its vectors depend on besides the model: a digest, and no text."""
        return self.input.cache_key, self.kept.tobytes()

    def characters(self, place: int) -> tuple[int, int] | None:
        """Return the characters of the text that the token at a place was made from; None if it is not the text's."""
        own = place - self.start
        if self.tokens is None or not 0 <= own < self.n_own:
            return None
        return self.tokens.offsets[self.first + own]


@dataclass(frozen=True, slots=True, eq=False)
class LateDocument:
    """The inputs of one document: one, or one per window; none for a blank document.

    Attributes:
        windows: Its inputs in reading order.
        truncated: Whether some of the document is in no input.
    """

    windows: tuple[LateText, ...] = ()
    truncated: bool = False

    @property
    def n_inputs(self) -> int:
        """Number of inputs."""
        return len(self.windows)

    def span(self, winner: int) -> WindowSpan | None:
        """Return the characters of the winning input, or None if it holds the whole document."""
        one = self.windows[winner] if self.windows else None
        if one is None or one.tokens is None or (len(self.windows) == 1 and not self.truncated):
            return None
        return character_span(one.tokens, one.first, one.first + one.n_own)

    def without_texts(self) -> LateDocument:
        """Return the same without the tokenizer's records, which a stream would keep in memory."""
        return replace(self, windows=tuple(replace(one, tokens=None) for one in self.windows))


class LateInputs:
    """Makes the inputs of queries and documents. Stateless and thread-safe.

    Args:
        tokenizer: The model's tokenizer.
        late: How it is used.
        vocabulary: Its ids.
        lengths: How long inputs may be.
        long_documents: What happens to documents that do not fit.
        use_cache: Whether texts that were tokenised lately are looked up.

    Raises:
        InvalidInputError: The lengths leave no room for a text.
    """

    def __init__(
        self,
        tokenizer: TextTokenizer,
        late: LateInteraction,
        vocabulary: LateVocabulary,
        lengths: LateLengths,
        *,
        long_documents: LongDocuments = _TRUNCATE,
        use_cache: bool = False,
    ) -> None:
        self._tokenizer, self._late, self._use_cache = tokenizer, late, use_cache
        self._long, self._expansion = long_documents, vocabulary.expansion
        layout, self._query_own = TextLayout.of(tokenizer), lengths.query_own or lengths.query
        self._query = _Side(tokenizer, layout, late.query, vocabulary.query_marker, length=lengths.query)
        self._document = _Side(tokenizer, layout, late.document, vocabulary.document_marker, length=lengths.document)
        self._skipped = [
            np.array(sorted(ids), dtype=np.int32) for ids in (vocabulary.query_skipped, vocabulary.document_skipped)
        ]

    @property
    def settings(self) -> dict[str, Any]:
        """How documents are read, as plain values: two models with equal ones make equal inputs of a text."""
        side, long = self._document, self._long
        is_split = long.strategy not in ("truncate", "firstp")
        return {
            "length": side.length,
            "before": side.before.tolist(),
            "prompt": side.prompt,
            "after": side.after.tolist(),
            "skipped": self._skipped[1].tolist(),
            "drops_first": self._late.drops_first,
            "normalizes": self._late.normalizes,
            "windows": "all" if is_split else "first",
            "overlap_tokens": long.overlap_tokens if is_split else 0,
            "max_characters": long.max_characters,
        }

    def queries(self, texts: Sequence[str]) -> list[LateText]:
        """Return the input of each query; a longer one is cut."""
        return [self._filled(*parts) for parts in self._split(texts, self._query)]

    def documents(self, texts: Sequence[str | None]) -> list[LateDocument]:
        """Return the inputs of each document; each different text is tokenised once."""
        side, guard = self._document, self._long.max_characters
        shown = ["" if is_blank(text) else side.prompt + str(text)[:guard] for text in texts]
        tokens = self._tokenizer.encode(shown, use_cache=self._use_cache)
        return [
            LateDocument() if is_blank(text) else self._windows(*side.split(one), cut=len(str(text)) > guard)
            for text, one in zip(texts, tokens, strict=True)
        ]

    def cut_documents(self, texts: Sequence[str]) -> list[LateText]:
        """Return one input of each document, blank ones too; a longer one loses its end."""
        side = self._document
        parts = self._split(texts, side)
        return [self._window(prompt, own, 0, min(side.room - len(prompt), len(own))) for prompt, own in parts]

    def truncated(self, texts: Sequence[str], *, is_query: bool) -> list[bool]:
        """Return of each text whether one input of it lacks its end."""
        side = self._query if is_query else self._document
        guard = self._long.max_characters
        parts = zip(texts, self._split(texts, side), strict=True)
        return [len(text) > guard or len(prompt) + len(own) > side.room for text, (prompt, own) in parts]

    def _split(self, texts: Sequence[str], side: _Side) -> list[tuple[npt.NDArray[np.int32], TokenizedText]]:
        """Return the ids of the prompt in front of each text, and the text's own tokens, up to ``max_characters``."""
        shown = [side.prompt + text[: self._long.max_characters] for text in texts]
        tokens = self._tokenizer.encode(shown, use_cache=self._use_cache)
        return [side.split(one) for one in tokens]

    def _windows(self, prompt: npt.NDArray[np.int32], own: TokenizedText, *, cut: bool) -> LateDocument:
        side, long = self._document, self._long
        room = side.room - len(prompt)
        if long.strategy == "truncate":
            ranges = [(0, min(room, len(own)))]
        else:
            ranges = window_ranges(len(own), room=room, overlap=long.overlap_tokens)
            ranges = ranges[:1] if long.strategy == "firstp" else ranges
        is_cut = cut or ranges[-1][1] < len(own)
        made = (self._window(prompt, own, start, end) for start, end in ranges)
        return LateDocument(tuple(made), is_cut)

    def _window(self, prompt: npt.NDArray[np.int32], own: TokenizedText, first: int, end: int) -> LateText:
        side = self._document
        ids = side.join(prompt, own.ids[first:end])
        start = side.n_before + len(prompt)
        return LateText(_input(ids), self._kept(ids, is_query=False), start, own, first, end - first)

    def _filled(self, prompt: npt.NDArray[np.int32], own: TokenizedText) -> LateText:
        side, expansion = self._query, self._late.expansion
        # A prompt may have a token more by itself than in front of a text, whose room that would be.
        n_own = min(len(own), side.room - len(prompt), self._query_own)
        ids = side.join(prompt, own.ids[:n_own])
        n_missing = 0 if expansion is None else max(side.filled(expansion.length) - len(ids), 0)
        n_unseen = 0
        if n_missing:
            ids = np.concatenate([ids, np.full(n_missing, self._expansion, dtype=np.int32)])
            n_unseen = 0 if expansion is None or expansion.attends else n_missing
        kept = self._kept(ids, is_query=True)
        return LateText(_input(ids, n_unseen), kept, side.n_before + len(prompt), own, 0, n_own, n_missing)

    def _kept(self, ids: npt.NDArray[np.int32], *, is_query: bool) -> _Bools:
        kept: _Bools = ~np.isin(ids, self._skipped[0 if is_query else 1])
        if self._late.drops_first:
            kept[0] = False
        return kept


class _Side:
    """What stands around each text of one side, and how much room it leaves."""

    def __init__(
        self, tokenizer: TextTokenizer, layout: TextLayout, side: TokenSide, marker: int | None, *, length: int
    ) -> None:
        self.prompt, self.length = side.prompt, length
        self.before = np.array([*layout.prefix, *([] if marker is None else [marker])], dtype=np.int32)
        self.after = np.array(layout.suffix, dtype=np.int32)
        self.n_before = len(self.before)
        self.room = length - self.n_before - len(self.after)
        n_prompt = len(tokenizer.encode_one(side.prompt)) if side.prompt else 0
        if self.room <= n_prompt:
            msg = (
                f"a length of {length} tokens leaves no room for a text: special tokens, marker and prompt take "
                f"{length - self.room + n_prompt}. Raise max_length (documents) or query_max_length (queries)"
            )
            raise InvalidInputError(msg)

    def split(self, tokens: TokenizedText) -> tuple[npt.NDArray[np.int32], TokenizedText]:
        """Return the prompt's ids, and the text's own tokens."""
        return tokens.split_prefix(len(self.prompt))

    def join(self, prompt: npt.NDArray[np.int32], own: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
        """Return the ids of one input."""
        return np.concatenate([self.before, prompt, own, self.after])

    def filled(self, length: int) -> int:
        """Return to how many tokens a query is filled up, given the model's own number."""
        return min(length, self.length)


def _input(ids: npt.NDArray[np.int32], n_unseen: int = 0) -> TokenInput:
    return TokenInput(ids, np.zeros_like(ids), n_unseen=n_unseen)
