r"""Turns single texts into ids, with instruction, examples and suffix. Only the end of the text is truncated.

References: sentence-transformers puts a prompt before the text as one string; FlagEmbedding 1.3.5
``inference/embedder/decoder_only/icl.py`` puts examples before that and ``\n<response>`` after the text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rerank_plugins.errors import InvalidInputError
from rerank_plugins.protocols import TokenInput
from rerank_plugins.text.pairs import TextLayout
from rerank_plugins.text.tokenizer import TextTokenizer, TokenizedText

__all__ = ["MAX_CHARACTERS", "SingleTextTokenizer", "TextAffixes"]

MAX_CHARACTERS = 128_000
"""Characters of a text that are read at most (BCEmbedding's limit): the rest is not tokenised."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextAffixes:
    """The texts around every text of one side: ``examples instruction text suffix``.

    Attributes:
        examples: Solved examples; they are not counted in the length of an input.
        instruction: Text before each text.
        suffix: Text after each text.
    """

    examples: str = ""
    instruction: str = ""
    suffix: str = ""


class SingleTextTokenizer:
    """Turns texts of one side into model inputs. Thread-safe.

    A text and the texts around it are tokenised as one string, because joining ids could differ. An input that is too
    long loses the end of its text. Special tokens, instruction and suffix are always kept, and with them the token
    that is pooled.

    Args:
        tokenizer: The tokenizer.
        layout: Special tokens around a text.
        affixes: What is put around each text.
        max_length_tokens: Tokens of an input, special tokens, instruction and suffix included, examples not.
        pools_instruction: Whether the instruction counts in the mean. If not, inputs carry its length: as many
            tokens as it has by itself, which is how INSTRUCTOR and sentence-transformers count.
        use_cache: Whether recently tokenised texts are taken from a cache.

    Raises:
        InvalidInputError: The texts around it leave no room for a text.
    """

    def __init__(
        self,
        tokenizer: TextTokenizer,
        layout: TextLayout,
        affixes: TextAffixes,
        *,
        max_length_tokens: int,
        pools_instruction: bool = True,
        use_cache: bool = False,
    ) -> None:
        self._use_cache = use_cache
        self._tokenizer, self._layout, self._affixes = tokenizer, layout, affixes
        self._n_examples = _count(tokenizer, affixes.examples)
        n_instruction = _count(tokenizer, affixes.instruction)
        self._room = max_length_tokens - layout.n_special + self._n_examples
        self._n_unpooled = None if pools_instruction or not n_instruction else n_instruction
        used = layout.n_special + n_instruction + _count(tokenizer, affixes.suffix)
        if used >= max_length_tokens:
            msg = (
                f"max_length={max_length_tokens} leaves no room for a text: special tokens and instruction take "
                f"{used}. Raise max_length or shorten the instruction."
            )
            raise InvalidInputError(msg)

    @property
    def affixes(self) -> TextAffixes:
        """What is put around each text."""
        return self._affixes

    @property
    def longest_tokens(self) -> int:
        """Tokens of the longest input that can come out, examples included."""
        return self._room + self._layout.n_special

    @property
    def n_special(self) -> int:
        """Number of special tokens around a text."""
        return self._layout.n_special

    def encode(self, texts: Sequence[str]) -> list[TokenInput]:
        """Return the input of each text, in order."""
        cut = [text[:MAX_CHARACTERS] for text in texts]
        return [self._input(text, one) for text, one in zip(cut, self._tokenized(cut), strict=True)]

    def truncated(self, texts: Sequence[str]) -> list[bool]:
        """Return of each text whether its input lacks its end."""
        tokenized = self._tokenized([text[:MAX_CHARACTERS] for text in texts])
        return [
            len(text) > MAX_CHARACTERS or len(one.ids) > self._room for text, one in zip(texts, tokenized, strict=True)
        ]

    @property
    def layout(self) -> TextLayout:
        """Special tokens around a text."""
        return self._layout

    def room_tokens(self, n_before: int) -> int:
        """Return how many tokens of a text fit an input beside ``n_before`` of its examples and instruction."""
        return self._room - n_before

    def whole(self, text: str) -> tuple[npt.NDArray[np.int32], TokenizedText]:
        """Return the ids of what stands before a text, and the text, of which nothing is cut.

        A token that holds characters of both belongs to the text.
        """
        before = self._affixes.examples + self._affixes.instruction
        return self._tokenizer.encode_one(before + text).split_prefix(len(before))

    def _tokenized(self, texts: Sequence[str]) -> list[TokenizedText]:
        """Return the tokens of each text with what is put around it."""
        head = self._affixes.examples + self._affixes.instruction
        whole = [f"{head}{text}{self._affixes.suffix}" for text in texts]
        return self._tokenizer.encode(whole, use_cache=self._use_cache)

    def _input(self, text: str, tokenized: TokenizedText) -> TokenInput:
        ids = tokenized.ids
        if len(ids) > self._room:
            ids = self._shortened(tokenized, len(text))
        return self._layout.wrap(ids, n_instruction=self._n_unpooled)

    def _shortened(self, tokenized: TokenizedText, n_characters: int) -> npt.NDArray[np.int32]:
        if not self._affixes.suffix:
            return tokenized.ids[: self._room]
        text_end = len(self._affixes.examples) + len(self._affixes.instruction) + n_characters
        starts = [start for start, _ in tokenized.encoding.offsets]
        suffix_start = next((index for index, start in enumerate(starts) if start >= text_end), len(starts))
        n_suffix = len(starts) - suffix_start
        return np.concatenate([tokenized.ids[: self._room - n_suffix], tokenized.ids[suffix_start:]])


def _count(tokenizer: TextTokenizer, text: str) -> int:
    return len(tokenizer.encode_one(text)) if text else 0
