"""A tokenizer that holds no state between calls.

transformers' fast tokenizers keep truncation and padding settings in the shared Rust object, so that
one thread's call changes another's (huggingface/tokenizers#537; 250 of 1,600 concurrent calls were
silently cut to another thread's length). This class never sets either: it tokenises whole texts without
special tokens, and truncation and padding are done on the ids.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from rerank_plugins.checks.boundary import checkpoint_errors
from rerank_plugins.system.native import native_code
from rerank_plugins.text.token_cache import TokenCache

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer
    from tokenizers.normalizers import Normalizer

__all__ = ["TextTokenizer", "TokenizedText", "is_blank", "replace_lone_surrogates"]

_CACHED_BYTES = 100_000_000
"""Of all texts at hand for one model, tokens and texts included: 400,000 to 800,000 tokens of long texts."""

_TEXT_BYTES, _TOKEN_BYTES = 1_100, 115
"""What a tokenised text takes: three objects and eight tables of the tokenizer's record, and for each token an entry in
every one of them, its spelling in memory of its own (measured: 1,220 bytes for two tokens, 105 for each of 500)."""

_TASK = "tokenise a text with the model's own tokenizer"

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True, eq=False)
class TokenizedText:
    """The ids of one text, without special tokens.

    Attributes:
        ids: Token ids. Shape: (tokens,), int32.
        encoding: The tokenizer's own record, from which offsets are read when they are needed.
        first_token: Tokens of ``encoding`` before ``ids``: those of a prefix that is not the text's own.
        first_character: Characters of that prefix.
    """

    ids: npt.NDArray[np.int32]
    encoding: Encoding
    first_token: int = 0
    first_character: int = 0

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def n_bytes(self) -> int:
        """Approximate bytes of memory that it holds."""
        return _TEXT_BYTES + _TOKEN_BYTES * (len(self.ids) + self.first_token)

    @property
    def offsets(self) -> list[tuple[int, int]]:
        """The (start, end) characters of each token in the text; the prefix is not counted."""
        own, shift = self.encoding.offsets[self.first_token :], self.first_character
        return [(max(start - shift, 0), max(end - shift, 0)) for start, end in own] if shift else own

    def token_at(self, character: int) -> int:
        """Return the index of the first token that ends after ``character``; the number of tokens if there is none."""
        found = self.encoding.char_to_token(character)
        if found is None:
            # White space that the tokenizer dropped, or the text's end.
            ends = [end for _, end in self.encoding.offsets]
            found = next((index for index, end in enumerate(ends) if end > character), len(ends))
        return found

    def split_prefix(self, n_characters: int) -> tuple[npt.NDArray[np.int32], TokenizedText]:
        """Return the ids of a prefix, and the text after it.

        A token that holds characters of both belongs to the text.

        Args:
            n_characters: Length of the prefix.

        Returns:
            The prefix's ids, shape (tokens,), int32, and the rest.
        """
        if not n_characters:
            return self.ids[:0], self
        ends = [end for _, end in self.encoding.offsets]
        n_tokens = next((index for index, end in enumerate(ends) if end > n_characters), len(ends))
        return self.ids[:n_tokens], TokenizedText(self.ids[n_tokens:], self.encoding, n_tokens, n_characters)


def is_blank(text: str | None) -> bool:
    """Return True for None and for text that is empty or white space."""
    return text is None or not text.strip()


def replace_lone_surrogates(text: str) -> str:
    """Return ``text`` with each unpaired surrogate, which UTF-8 cannot hold, as U+FFFD.

    The length stays the same, so character offsets stay valid.
    """
    return text if text.isascii() else _LONE_SURROGATE.sub("\ufffd", text)


class TextTokenizer:
    """Turns texts into token ids. Thread-safe.

    Args:
        tokenizer: A fast tokenizer's core. It is copied without truncation and padding, so the
            caller's object is not changed.
        lowercase: Lower-case texts first (``do_lower_case`` of ``sentence_bert_config.json``).
        uses_segments: Whether the model is given segment ids at all (``token_type_ids`` among the
            tokenizer's ``model_input_names``); if not, they are all 0.
        bos_id: Id that decoders put first; None if the model has none.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        *,
        lowercase: bool = False,
        uses_segments: bool = True,
        bos_id: int | None = None,
    ) -> None:
        with checkpoint_errors("copy a model's tokenizer"):
            self._tokenizer = type(tokenizer).from_str(tokenizer.to_str())
            self._tokenizer.no_truncation()
            self._tokenizer.no_padding()
            if lowercase:
                self._tokenizer.normalizer = _lowercasing(self._tokenizer.normalizer)
        self.uses_segments = uses_segments
        self.bos_id = bos_id
        self.cache: TokenCache[TokenizedText] = TokenCache(_CACHED_BYTES, size_of=_size_of)

    def encode(self, texts: Sequence[str], *, use_cache: bool = False) -> list[TokenizedText]:
        """Return the ids of each text; each distinct text is tokenised once.

        A lone surrogate counts as U+FFFD.

        Args:
            texts: What to tokenise.
            use_cache: Whether texts that were tokenised lately are looked up, and these are kept.
        """
        by_text: dict[str, TokenizedText] = {}
        missing: list[str] = []
        for text in dict.fromkeys(texts):
            known = self.cache.get(text) if use_cache else None
            if known is None:
                missing.append(text)
            else:
                by_text[text] = known
        prepared = [self._prepare(text) for text in missing]
        with checkpoint_errors(_TASK), native_code():
            encodings = self._tokenizer.encode_batch(prepared, add_special_tokens=False)
        for text, encoding in zip(missing, encodings, strict=True):
            by_text[text] = TokenizedText(np.array(encoding.ids, dtype=np.int32), encoding)
            if use_cache:
                self.cache.put(text, by_text[text])
        return [by_text[text] for text in texts]

    def encode_one(self, text: str) -> TokenizedText:
        """Return the ids of one text."""
        return self.encode([text])[0]

    def encode_pair_with_special_tokens(self, first: str, second: str) -> Encoding:
        """Return the tokenizer's own encoding of a pair, special tokens and types included."""
        with checkpoint_errors(_TASK):
            return self._tokenizer.encode(self._prepare(first), self._prepare(second))

    def encode_with_special_tokens(self, text: str) -> Encoding:
        """Return the tokenizer's own encoding of one text, special tokens included."""
        with checkpoint_errors(_TASK):
            return self._tokenizer.encode(self._prepare(text))

    def with_special_token(self, token: str) -> TextTokenizer:
        """Return a tokenizer whose vocabulary has this special token; itself if it is there already."""
        if self.token_to_id(token) is not None:
            return self
        made = TextTokenizer(self._tokenizer, uses_segments=self.uses_segments, bos_id=self.bos_id)
        made._tokenizer.add_special_tokens([token])
        return made

    @property
    def highest_id(self) -> int:
        """The highest id of a token in the vocabulary, added ones included; 0 for an empty one."""
        return max(self._tokenizer.get_vocab(with_added_tokens=True).values(), default=0)

    @property
    def unknown_id(self) -> int | None:
        """Id of the unknown token, or None if the model has none."""
        token = getattr(self._tokenizer.model, "unk_token", None)
        return None if token is None else self._tokenizer.token_to_id(token)

    def token_to_id(self, token: str) -> int | None:
        """Return the id of a token, or None if the vocabulary lacks it, as any does a lone surrogate."""
        return None if _LONE_SURROGATE.search(token) else self._tokenizer.token_to_id(token)

    def spellings(self, ids: Sequence[int]) -> list[str]:
        """Return how the vocabulary spells each id; empty for one that it lacks."""
        return [self._tokenizer.id_to_token(one) or "" for one in ids]

    def _prepare(self, text: str) -> str:
        return replace_lone_surrogates(text)


def _lowercasing(normalizer: Normalizer | None) -> Normalizer:
    """Return a normaliser that lower-cases first, as sentence-transformers 6 adds one.

    ``str.lower`` would also lower-case the names of special tokens, and changes the length of some texts.
    """
    from tokenizers.normalizers import Lowercase, Sequence

    return Lowercase() if normalizer is None else Sequence([Lowercase(), normalizer])


def _size_of(tokens: TokenizedText) -> int:
    return tokens.n_bytes
