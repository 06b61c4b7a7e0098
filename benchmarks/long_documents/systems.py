"""What each system returns for each question: plain chunks, late chunks, sentences in context with their neighbours."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmarks.long_documents.measure import Returned
from benchmarks.long_documents.passages import Cut
from rerank_plugins.types import WindowSpan

__all__ = ["System", "chunk_system", "sentence_system"]

Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class System:
    """A way to return passages.

    Attributes:
        name: What it is called.
        ranked: Vector of a question and the documents to search to the passages, best first.
    """

    name: str
    ranked: Callable[[Vectors, Sequence[str]], Iterator[Returned]]


def chunk_system(name: str, spans: Mapping[str, Sequence[WindowSpan]], vectors: Mapping[str, Vectors]) -> System:
    """Return the system that returns chunks by the cosine of their vectors."""

    def ranked(question: Vectors, documents: Sequence[str]) -> Iterator[Returned]:
        for document, place in _nearest(vectors, question, documents):
            yield document, spans[document][place]

    return System(name, ranked)


def sentence_system(name: str, cut: Cut, vectors: Mapping[str, Vectors], *, n_tokens: int) -> System:
    """Return the system that returns sentences, each with its neighbours up to so many tokens.

    A sentence that stands in a passage already returned makes no passage of its own.
    """

    def ranked(question: Vectors, documents: Sequence[str]) -> Iterator[Returned]:
        shown: dict[str, list[WindowSpan]] = {}
        for document, place in _nearest(vectors, question, documents):
            sentence = cut.sentences[document][place]
            before = shown.setdefault(document, [])
            if any(one.start <= sentence.start and sentence.end <= one.end for one in before):
                continue
            passage = cut.around(document, place, n_tokens)
            before.append(passage)
            yield document, passage

    return System(name, ranked)


def _nearest(vectors: Mapping[str, Vectors], question: Vectors, documents: Sequence[str]) -> Iterator[tuple[str, int]]:
    places = [(document, place) for document in documents for place in range(len(vectors[document]))]
    scores = np.concatenate([vectors[document] @ question for document in documents])
    for number in np.argsort(-scores, kind="stable").tolist():
        yield places[number]
