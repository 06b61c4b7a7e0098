"""Pairs for decoders: two prefixed texts and an instruction, tokenised apart and joined as ids.

Reference: FlagEmbedding 1.3.5, ``inference/reranker/decoder_only/base.py``. Joined as one text the parts would merge
into other tokens at their borders.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rerank_plugins.protocols import PairSegments, TokenInput
from rerank_plugins.text.tokenizer import TextEncoder

__all__ = ["PromptLayout"]

_SEPARATOR = "\n"


@dataclass(frozen=True, slots=True)
class PromptLayout:
    """``bos "A: query" separator "B: document" separator prompt``; the prompt is never cut.

    Attributes:
        bos: The token that starts a text; empty if the model has none.
        separator: Ids of a line break.
        prompt: Ids of the instruction.
    """

    bos: tuple[int, ...]
    separator: tuple[int, ...]
    prompt: tuple[int, ...]

    @classmethod
    def of(cls, encoder: TextEncoder, prompt: str) -> PromptLayout:
        """Return the layout of a model and an instruction."""
        separator, instruction = encoder.encode([_SEPARATOR, prompt])
        bos = () if encoder.bos_id is None else (encoder.bos_id,)
        return cls(bos, tuple(separator.ids.tolist()), tuple(instruction.ids.tolist()))

    @property
    def query_prefix(self) -> str:
        """Text before every query."""
        return "A: "

    @property
    def document_prefix(self) -> str:
        """Text before every document and every window of one."""
        return "B: "

    @property
    def n_special(self) -> int:
        """Number of tokens that belong to neither text; the texts' prefixes are not counted."""
        return len(self.bos) + 2 * len(self.separator) + len(self.prompt)

    def room_tokens(self, max_length_tokens: int) -> int:
        """Return the tokens of query and document, with their prefixes, that fit an input of a length.

        FlagEmbedding lets everything before the second separator reach ``max_length`` plus a separator and the prompt,
        and appends a separator and the prompt to that: an input can have ``max_length`` plus twice both.
        """
        return max_length_tokens + len(self.prompt) - len(self.bos)

    def join(self, query: npt.NDArray[np.int32], document: npt.NDArray[np.int32]) -> TokenInput:
        """Lay out one pair, prefixes included in the ids. No text is cut here."""
        parts = (self.bos, query, self.separator, document, self.separator, self.prompt)
        ids = np.concatenate([np.asarray(part, dtype=np.int32) for part in parts])
        query_start = len(self.bos)
        query_end = query_start + len(query)
        document_start = query_end + len(self.separator)
        segments = PairSegments(query_start, query_end, document_start, document_start + len(document))
        return TokenInput(ids, np.zeros_like(ids), segments)
