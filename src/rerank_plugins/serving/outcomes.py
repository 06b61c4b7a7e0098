"""What came of a request, in no dialect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from rerank_plugins.calls.explaining import Explanation
from rerank_plugins.embedding.vectors import TextVectors
from rerank_plugins.types import CallUsage, RankedDocument

__all__ = ["Costs", "Embedded", "EmbeddedTokens", "Explained", "FoundSpan", "Outcome", "Ranked", "Scored", "Tokenized"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What a request took.

    Attributes:
        request_id: Tells the request apart in answers and logs.
        created_s: When it came, in seconds since 1970.
        model: The model's name on this server.
        tokens: Tokens that were read, those of all steps together; estimated from characters where a backend does not
            tell (a service that counts none, such as TEI; a backend of somebody's own).
        characters: Characters of all texts.
        total_ms: From reading the body until now.
        usage: What the engine tells; None if it does not.
    """

    request_id: str
    created_s: int
    model: str
    tokens: int
    characters: int
    total_ms: float
    usage: CallUsage | None


@dataclass(frozen=True, slots=True)
class FoundSpan:
    """A part of a document, ``[start, end)`` in code points, and its probability."""

    start: int
    end: int
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranked:
    """Documents from best to worst, and the parts of each that were asked for, by index."""

    costs: Costs
    documents: Sequence[RankedDocument]
    spans: Mapping[int, Sequence[FoundSpan]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """Scores of pairs, in order."""

    costs: Costs
    scores: Sequence[float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """What each part of a document gave to its score, and the probability that the score means."""

    costs: Costs
    explanation: Explanation
    probability: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedded:
    """Vectors, one a text, in order. Shape: (texts, dimensions), float32."""

    costs: Costs
    vectors: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedTokens:
    """Sparse weights, or one vector a token, of each text, in order."""

    costs: Costs
    vectors: TextVectors


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokenized:
    """The tokens of each text, in TEI's words: ``id``, ``text``, ``special``, ``start``, ``stop``."""

    costs: Costs
    tokens: Sequence[Sequence[Mapping[str, Any]]]


Outcome = Ranked | Scored | Explained | Embedded | EmbeddedTokens | Tokenized
