"""Joins query and document as ids. The positions of special tokens are learnt from the tokenizer itself.

transformers 5 has no ``prepare_for_model``, and decoding ids to tokenise the text again changes them
(FlagEmbedding 1.4.2). Here a pair is joined from the ids of its two texts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rerank_plugins.errors import UnsupportedModelError
from rerank_plugins.protocols import PairSegments, TokenInput
from rerank_plugins.text.tokenizer import TextTokenizer

__all__ = ["PairLayout", "TextLayout"]

_PROBE_FIRST = "a"
_PROBE_SECOND = "b c"


@dataclass(frozen=True, slots=True)
class PairLayout:
    """Special tokens around a query and a document: ``prefix query middle document suffix``.

    ``<s> q </s></s> d </s>`` for XLM-R and ``[CLS] q [SEP] d [SEP]`` for BERT. ``document_prefix`` is a text of the
    model's own, see :class:`~rerank_plugins.text.pair_tokenizer.InputLayout`.
    """

    prefix: tuple[int, ...]
    middle: tuple[int, ...]
    suffix: tuple[int, ...]
    query_types: tuple[int, int, int]
    """Segment ids of prefix, query and the middle's first token."""
    document_types: tuple[int, int, int]
    """Segment ids of the rest of the middle, document and suffix."""
    document_prefix: str = ""

    @classmethod
    def of(cls, tokenizer: TextTokenizer) -> PairLayout:
        """Read the layout off the tokenizer's own encoding of a pair.

        Raises:
            UnsupportedModelError: The tokenizer does not keep two texts apart.
        """
        whole = tokenizer.encode_pair_with_special_tokens(_PROBE_FIRST, _PROBE_SECOND)
        first = tuple(tokenizer.encode_one(_PROBE_FIRST).ids.tolist())
        second = tuple(tokenizer.encode_one(_PROBE_SECOND).ids.tolist())
        ids = tuple(whole.ids)
        types = tuple(whole.type_ids) if tokenizer.uses_segments else (0,) * len(ids)
        at_first = _find(ids, first, start=0)
        at_second = _find(ids, second, start=at_first + len(first)) if at_first >= 0 else -1
        if not first or not second or at_second <= at_first + len(first):
            msg = (
                f"the tokenizer does not put special tokens between two texts: it gives {ids} for {first} and "
                f"{second}. Use a tokenizer.json with a pair template (TemplateProcessing)."
            )
            raise UnsupportedModelError(msg)
        end_first, end_second = at_first + len(first), at_second + len(second)
        return cls(
            prefix=ids[:at_first],
            middle=ids[end_first:at_second],
            suffix=ids[end_second:],
            query_types=(types[0], types[at_first], types[end_first]),
            document_types=(types[at_second - 1], types[at_second], types[-1]),
        )

    @property
    def query_prefix(self) -> str:
        """Text before every query: none."""
        return ""

    @property
    def n_special(self) -> int:
        """Number of special tokens in a pair."""
        return len(self.prefix) + len(self.middle) + len(self.suffix)

    def room_tokens(self, max_length_tokens: int) -> int:
        """Return how many tokens of query and document together fit an input of a length."""
        return max_length_tokens - self.n_special

    def join(self, query: npt.NDArray[np.int32], document: npt.NDArray[np.int32]) -> TokenInput:
        """Lay out one pair. No text is cut here."""
        query_start = len(self.prefix)
        query_end = query_start + len(query)
        document_start = query_end + len(self.middle)
        document_end = document_start + len(document)
        prefix, middle, suffix = (np.array(part, dtype=np.int32) for part in (self.prefix, self.middle, self.suffix))
        ids = np.concatenate((prefix, query, middle, document, suffix))
        type_ids = np.repeat(
            np.array((*self.query_types, *self.document_types), dtype=np.int32),
            (query_start, len(query), 1, len(self.middle) - 1, len(document), len(self.suffix)),
        )
        return TokenInput(ids, type_ids, PairSegments(query_start, query_end, document_start, document_end))


@dataclass(frozen=True, slots=True)
class TextLayout:
    """Special tokens around a single text: ``prefix text suffix``."""

    prefix: tuple[int, ...] = ()
    suffix: tuple[int, ...] = ()

    @classmethod
    def of(cls, tokenizer: TextTokenizer) -> TextLayout:
        """Read the layout off the tokenizer's own encoding of a text.

        Raises:
            UnsupportedModelError: The encoding does not contain the text's ids.
        """
        whole = tuple(tokenizer.encode_with_special_tokens(_PROBE_FIRST).ids)
        text = tuple(tokenizer.encode_one(_PROBE_FIRST).ids.tolist())
        start = _find(whole, text, start=0) if text else -1
        if start < 0:
            msg = f"the tokenizer's encoding {whole} does not contain the ids {text} of the text itself"
            raise UnsupportedModelError(msg)
        return cls(prefix=whole[:start], suffix=whole[start + len(text) :])

    @property
    def n_special(self) -> int:
        """Number of special tokens around a text."""
        return len(self.prefix) + len(self.suffix)

    def ending_in(self, token_id: int) -> TextLayout:
        """Return the layout with ``token_id`` as the last token of every text; itself if texts end in it already."""
        return self if self.suffix[-1:] == (token_id,) else TextLayout(self.prefix, (*self.suffix, token_id))

    def wrap(self, text: npt.NDArray[np.int32], *, n_instruction: int | None = None) -> TokenInput:
        """Lay out one text. It is not cut here.

        Args:
            text: Ids of the instruction and the text.
            n_instruction: How many of them are the instruction's, for models that leave those out of the mean;
                None does not tell the two apart.
        """
        ids = np.array([*self.prefix, *text, *self.suffix], dtype=np.int32)
        if n_instruction is None:
            return TokenInput(ids, np.zeros_like(ids))
        start = len(self.prefix)
        middle = start + n_instruction
        return TokenInput(ids, np.zeros_like(ids), PairSegments(start, middle, middle, start + len(text)))


def _find(haystack: tuple[int, ...], needle: tuple[int, ...], *, start: int) -> int:
    for position in range(start, len(haystack) - len(needle) + 1):
        if haystack[position : position + len(needle)] == needle:
            return position
    return -1
