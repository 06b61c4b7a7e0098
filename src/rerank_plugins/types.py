"""The values that cross the public boundary: small, frozen, made of plain Python types."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = [
    "BLANK_DOCUMENT_SCORE",
    "LayerOptions",
    "LongDocumentStrategy",
    "LongDocuments",
    "QueryExample",
    "RankedDocument",
    "ScoreUnit",
    "TruncationRule",
    "WindowSpan",
]

ScoreUnit = Literal["raw", "probability"]
"""``raw`` is the model's own number (a logit for most rerankers); ``probability`` is in [0, 1]."""

LongDocumentStrategy = Literal["truncate", "maxp", "firstp", "meanp", "topkmean"]

BLANK_DOCUMENT_SCORE = -10_000.0
"""Raw score of an empty, blank or None document: below any model's range, its probability is
exactly 0.0, and finite, so that results stay valid JSON."""


TruncationRule = Literal["longest_first", "only_second"]
"""``longest_first``: the longer side is cut (plain transformers, sentence-transformers, BCEmbedding
``compute_score``). ``only_second``: the query is cut to three quarters of the input, then the
document takes the rest (FlagEmbedding 1.3.5, ``inference/reranker/encoder_only/base.py``)."""


@dataclass(frozen=True, slots=True)
class WindowSpan:
    """A slice of a document, in characters: ``document[start:end]``."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class RankedDocument:
    """One document with its score.

    Attributes:
        index: Position of the document in the list that was passed in.
        score: The model's raw score, a Python float. A blank document has ``BLANK_DOCUMENT_SCORE``.
        probability: The same score in [0, 1] (the sigmoid of a logit).
        rank: 1 for the best document.
        document: The text as it was passed in; None if None was passed.
        window: Characters of ``document`` that the score was read from: the winning window when a
            long document was split, the kept part when it was truncated. None when the whole
            document was read, when the strategy has no single winner (MeanP, TopKMean), or when
            the document is blank.
        truncated: True if some of the document was never read by the model.
    """

    index: int
    score: float
    probability: float
    rank: int
    document: str | None
    window: WindowSpan | None = None
    truncated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LongDocuments:
    """How a document longer than the model's input is scored.

    Attributes:
        strategy: ``truncate`` reads the beginning only. The others split the document into
            overlapping windows and combine the windows' raw scores: ``maxp`` takes the best
            (BCEmbedding's rule; MaxP in Dai & Callan 2019, arXiv:1905.09217), ``firstp`` the
            first window, ``meanp`` the mean, ``topkmean`` the mean of the best ``top_k``.
        overlap_tokens: Tokens shared by neighbouring windows, never more than a quarter of the
            room a window has (BCEmbedding: 80).
        top_k: Windows averaged by ``topkmean``.
        max_characters: Characters of a document that are read at most (BCEmbedding: 128,000).
    """

    strategy: LongDocumentStrategy = "truncate"
    overlap_tokens: int = 80
    top_k: int = 3
    max_characters: int = 128_000


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryExample:
    """A solved example of the task, for embedders that learn from examples in front of the query (bge-en-icl).

    Attributes:
        query: A query.
        response: A text that answers it.
        task: The task in words; None takes the one that the queries have.
    """

    query: str
    response: str
    task: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerOptions:
    """How far an LLM reranker with a head on many layers runs; for each call, or for all calls of an object.

    None everywhere takes what the object was made with, then the model's default.

    Attributes:
        cutoff_layers: Layers whose scores are asked for; the model runs to the deepest of them. An int counts as one.
        compress_ratio: How many document tokens become one: 1 (off), 2, 4 or 8.
        compress_layers: Layers in front of which the document is compressed, each time once more.
        head_by_layer: Whether a layer's state goes through that layer's own head. False is what FlagEmbedding
            1.3.5 does: the n-th lowest of the asked layers gets the n-th head.
        attention_softcap: Whether attention logits are soft-capped as the config says. False is what
            FlagEmbedding 1.3.5 does with its default attention.
    """

    cutoff_layers: tuple[int, ...] | None = None
    compress_ratio: int | None = None
    compress_layers: tuple[int, ...] | None = None
    head_by_layer: bool | None = None
    attention_softcap: bool | None = None
