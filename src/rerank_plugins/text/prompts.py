"""Pairs in a prompt whose parts are tokenised separately and joined as ids.

References: FlagEmbedding 1.3.5 ``inference/reranker/decoder_only/base.py``; mixedbread-ai/mxbai-rerank
``mxbai_rerank_v2.py``; facebookresearch/tart ``TART/src/tokenization_enc_t5.py``. Tokenised as one text, the
parts would give other tokens at their borders.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from rerank_plugins.catalog.templates import PairTemplate
from rerank_plugins.errors import UnsupportedModelError
from rerank_plugins.protocols import PairSegments, TokenInput
from rerank_plugins.text.tokenizer import TextTokenizer

__all__ = ["PromptLayout", "fixed_ids"]

_ONE_TOKEN = re.compile(r"</?\w+>")


def fixed_ids(tokenizer: TextTokenizer, texts: Sequence[str]) -> tuple[int, ...]:
    """Return the ids of texts that are the same in every input, each tokenised separately.

    Raises:
        UnsupportedModelError: A text is a special token such as ``</s>``, and the tokenizer has none of that name.
    """
    ids: list[int] = []
    for text in texts:
        found = tokenizer.token_to_id(text) if _ONE_TOKEN.fullmatch(text) else None
        if _ONE_TOKEN.fullmatch(text) and found is None:
            msg = (
                f"the model's layout needs the token {text!r}, and its tokenizer has none of that name. Is it the "
                "tokenizer the model was trained with?"
            )
            raise UnsupportedModelError(msg)
        ids.extend(tokenizer.encode_one(text).ids.tolist() if found is None else [found])
    return tuple(ids)


@dataclass(frozen=True, slots=True)
class PromptLayout:
    """``opening "A: query" separator "B: document" closing``; opening and closing are never cut.

    Attributes:
        opening: Ids in front of everything.
        separator: Ids between query and document.
        closing: Ids after everything else, including the instruction of FlagEmbedding's models.
        counted: See :class:`~rerank_plugins.catalog.templates.PairTemplate`.
        query_prefix: Text before every query, tokenised with it.
        document_prefix: Text before every document and every window of one, tokenised with it.
    """

    opening: tuple[int, ...]
    separator: tuple[int, ...]
    closing: tuple[int, ...]
    counted: Literal["everything", "texts", "flag_embedding"]
    query_prefix: str
    document_prefix: str

    @classmethod
    def of(cls, tokenizer: TextTokenizer, template: PairTemplate, prompt: str) -> PromptLayout:
        """Return the layout of a template with an instruction.

        Raises:
            UnsupportedModelError: The tokenizer lacks a special token of the template.
        """
        bos = () if tokenizer.bos_id is None or not template.bos else (tokenizer.bos_id,)
        return cls(
            opening=(*bos, *fixed_ids(tokenizer, template.opening)),
            separator=fixed_ids(tokenizer, [template.between]),
            closing=fixed_ids(tokenizer, template.closing_texts(prompt)),
            counted=template.counted,
            query_prefix=template.query_prefix(prompt),
            document_prefix=template.before_document,
        )

    @property
    def n_special(self) -> int:
        """Number of tokens that belong to neither text; the texts' prefixes are not counted."""
        return len(self.opening) + len(self.separator) + len(self.closing)

    def room_tokens(self, max_length_tokens: int) -> int:
        """Return how many tokens of query and document, with their prefixes, fit an input of a length.

        FlagEmbedding lets everything before the second separator reach ``max_length`` plus a separator and the prompt,
        and appends a separator and the prompt to that: an input can have ``max_length`` plus twice both.
        """
        if self.counted == "everything":
            return max_length_tokens - self.n_special
        if self.counted == "texts":
            return max_length_tokens - len(self.separator)
        return max_length_tokens + len(self.closing) - len(self.separator) - len(self.opening)

    def join(self, query: npt.NDArray[np.int32], document: npt.NDArray[np.int32]) -> TokenInput:
        """Lay out one pair, prefixes included in the ids. No text is cut here."""
        parts = (self.opening, query, self.separator, document, self.closing)
        ids = np.concatenate([np.asarray(part, dtype=np.int32) for part in parts])
        query_start = len(self.opening)
        query_end = query_start + len(query)
        document_start = query_end + len(self.separator)
        segments = PairSegments(query_start, query_end, document_start, document_start + len(document))
        return TokenInput(ids, np.zeros_like(ids), segments)
