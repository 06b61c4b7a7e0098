"""The passages that are compared: whole sentences up to a number of tokens, and sentences with their neighbours."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from tokenizers import Tokenizer

from benchmarks.long_documents.sets import LongSet
from rerank_plugins.text.sentences import sentence_spans
from rerank_plugins.types import WindowSpan

__all__ = ["Cut", "cut_documents"]


@dataclass(frozen=True, slots=True)
class Cut:
    """The sentences of each document and their tokens.

    Attributes:
        sentences: Document id to its sentences.
        tokens: Document id to the tokens of each of them.
    """

    sentences: dict[str, list[WindowSpan]]
    tokens: dict[str, list[int]]

    def chunks(self, document: str, n_tokens: int) -> list[WindowSpan]:
        """Return passages of whole sentences with at most so many tokens, one after the other; none overlaps."""
        passages: list[WindowSpan] = []
        room = 0
        for span, size in zip(self.sentences[document], self.tokens[document], strict=True):
            if passages and size <= room:
                passages[-1] = WindowSpan(passages[-1].start, span.end)
                room -= size
            else:
                passages.append(span)
                room = n_tokens - size
        return passages

    def around(self, document: str, place: int, n_tokens: int) -> WindowSpan:
        """Return a sentence with its neighbours, one before and one behind in turn, up to so many tokens."""
        sentences, tokens = self.sentences[document], self.tokens[document]
        first = last = place
        room = n_tokens - tokens[place]
        sides = [-1, 1]
        while sides:
            side = sides.pop(0)
            near = first - 1 if side < 0 else last + 1
            if 0 <= near < len(sentences) and tokens[near] <= room:
                room -= tokens[near]
                first, last = min(first, near), max(last, near)
                sides.append(side)
        return WindowSpan(sentences[first].start, sentences[last].end)


def cut_documents(found: LongSet, tokenizer: Tokenizer) -> Cut:
    """Return the documents in sentences, with the model's own tokens counted."""
    sentences = {key: sentence_spans(text) for key, text in found.documents.items()}
    tokens = {key: _counts(found.documents[key], spans, tokenizer) for key, spans in sentences.items()}
    return Cut(sentences, tokens)


def _counts(text: str, spans: Sequence[WindowSpan], tokenizer: Tokenizer) -> list[int]:
    ends = [span.end for span in spans]
    places = [
        bisect_right(ends, max(end - 1, 0)) for _, end in tokenizer.encode(text, add_special_tokens=False).offsets
    ]
    return np.bincount(np.array(places, dtype=np.int64), minlength=len(spans))[: len(spans)].tolist()  # type: ignore[no-any-return]
