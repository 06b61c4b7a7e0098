"""What is asked of a model, in no dialect: what every dialect's body is read into."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = [
    "EmbedRequest",
    "ExplainRequest",
    "PairsRequest",
    "Reading",
    "Request",
    "RerankRequest",
    "Side",
    "Spans",
    "TokenOutput",
    "TokenizeRequest",
]

Side = Literal["query", "document"]
TokenOutput = Literal["sparse", "colbert"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How texts are read, where a request says so; None everywhere takes what the model is served with.

    Attributes:
        instruction: Instruction of a reranker that reads one.
        max_length: Tokens of an input.
        query_tokens: Tokens of a query kept at most.
        document_tokens: Tokens of a document kept at most.
        windows: Whether long documents are split and the best window counts (True), or their beginning (False).
        overlap_tokens: Tokens shared by neighbouring windows.
    """

    instruction: str | None = None
    max_length: int | None = None
    query_tokens: int | None = None
    document_tokens: int | None = None
    windows: bool | None = None
    overlap_tokens: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Spans:
    """Which parts of documents are wanted: Cohere's ``relevant_spans``.

    Attributes:
        threshold: Parts whose probability is lower are left out.
        most: Parts of a document at most; None for no limit.
    """

    threshold: float
    most: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RerankRequest:
    """A query and documents to rank.

    Attributes:
        model: As the caller calls it; None for the usual one.
        query: The question.
        documents: The texts.
        originals: What the caller gets back for each document; empty for the texts.
        top_n: Documents returned at most; None for all.
        returns_documents: Whether the documents are in the answer.
        raw: Whether scores are the model's own numbers and not probabilities.
        whole: Whether a document that does not fit is an error.
        details: Whether facts of our own are in the answer.
        reading: How the texts are read.
        spans: Which parts are wanted; None for none.
    """

    model: str | None
    query: str
    documents: Sequence[str]
    originals: Sequence[Any] = ()
    top_n: int | None = None
    returns_documents: bool = False
    raw: bool = False
    whole: bool = False
    details: bool = False
    reading: Reading = field(default_factory=Reading)
    spans: Spans | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PairsRequest:
    """Pairs to score, in the order of the answer; the fields are those of :class:`RerankRequest`."""

    model: str | None
    pairs: Sequence[tuple[str, str]]
    raw: bool = False
    reading: Reading = field(default_factory=Reading)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainRequest:
    """A document whose score is to be explained; see :meth:`~rerank_plugins.reranker.Reranker.explain`.

    Attributes:
        model: As the caller calls it; None for the usual one.
        query: The question.
        document: The text.
        max_spans: Parts that are left out in turn at most.
        reading: How the texts are read.
    """

    model: str | None
    query: str
    document: str
    max_spans: int
    reading: Reading = field(default_factory=Reading)


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedRequest:
    """Texts to embed.

    Attributes:
        model: As the caller calls it; None for the usual one.
        texts: The texts.
        side: Whether they are queries or documents; None where the dialect does not say.
        formats: How vectors are written: ``float``, ``base64``, ``int8``, ``uint8``, ``binary``, ``ubinary``.
        dimensions: Numbers of a vector that are kept; None for all.
        normalize: Whether vectors are scaled to length 1; None does what the model is served with.
        output: ``sparse`` or ``colbert`` for those vectors of a model that has them; None for one vector a text.
        whole: Whether a text that does not fit is an error.
        extra: What the dialect's answer needs besides.
    """

    model: str | None
    texts: Sequence[str]
    side: Side | None = None
    formats: Sequence[str] = ("float",)
    dimensions: int | None = None
    normalize: bool | None = None
    output: TokenOutput | None = None
    whole: bool = False
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenizeRequest:
    """Texts whose tokens are wanted, with special tokens or without."""

    model: str | None
    texts: Sequence[str]
    special_tokens: bool = True


Request = RerankRequest | PairsRequest | ExplainRequest | EmbedRequest | TokenizeRequest
