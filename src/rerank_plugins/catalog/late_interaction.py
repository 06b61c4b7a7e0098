"""What is known of a late-interaction model (ColBERT and its kin) before it is loaded: read from its files, never run.

Query and document become one vector a token; a score is the sum over the query's vectors of the best inner product with
a vector of the document (MaxSim; Khattab and Zaharia 2020, arXiv 2004.12832). Four formats keep the facts in four
places; :mod:`rerank_plugins.catalog.late_formats` reads them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rerank_plugins.catalog.module_files import DenseStep

__all__ = ["Expansion", "LateFormat", "LateInteraction", "RootProjection", "SkipRule", "TokenSide"]

LateFormat = Literal["stanford", "pylate", "sentence-transformers", "bge-m3"]
"""Who wrote the folder: colbert-ai, PyLate up to 1.6, sentence-transformers 6, or FlagEmbedding (BGE-M3)."""

SkipRule = Literal["first piece", "whole token"]
"""How a word becomes the id that is left out: the first id of its encoding (colbert-ai), or its own id (the others)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenSide:
    """How the texts of one side are read.

    Attributes:
        length: Tokens of an input at most, all included; None for what the model can read.
        marker: One token of the vocabulary, put behind the first special token as an id; empty for none.
        prompt: A text that is tokenised together with each text; empty for none.
        skipped: Words whose tokens get no vector.
    """

    length: int | None = None
    marker: str = ""
    prompt: str = ""
    skipped: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Expansion:
    """Tokens that fill a query up (query augmentation); their vectors score like those of its words.

    Attributes:
        length: Tokens of a query that is filled up.
        token: The token; None takes the tokenizer's mask token, else its end of a sequence, else its padding.
        attends: Whether the query's own tokens see them.
        cuts: Whether a longer query is cut to ``length``; if not, the query side's own length cuts it.
    """

    length: int
    token: str | None = None
    attends: bool = False
    cuts: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class RootProjection:
    """A linear layer whose weights lie beside the transformer's.

    Attributes:
        name: The tensors' common name: ``linear`` in the weights' own file (colbert-ai), or the name of a file of its
            own (``colbert_linear``, BGE-M3).
        has_own_file: Which of the two.
        n_in: Width of what comes in; None if it shows only in the weights.
        n_out: Width of a token's vector; likewise.
    """

    name: str
    has_own_file: bool
    n_in: int | None = None
    n_out: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LateInteraction:
    """Everything that decides a late-interaction model's scores, besides its weights and its tokenizer.

    Attributes:
        format: Whose rules count.
        query: How queries are read.
        document: How documents are read.
        expansion: What fills queries up; None for nothing.
        skip_rule: How the words that get no vector become ids.
        projection: What makes a token's vector of its state, one step after the other; empty for nothing.
        normalizes: Whether vectors have length 1.
        drops_first: Whether the first token of every text gets no vector (BGE-M3).
        is_mean: Whether a score is the mean over the query's vectors, not their sum.
    """

    format: LateFormat
    query: TokenSide
    document: TokenSide
    expansion: Expansion | None
    skip_rule: SkipRule = "whole token"
    projection: tuple[DenseStep | RootProjection, ...] = ()
    normalizes: bool = True
    drops_first: bool = False
    is_mean: bool = False

    @property
    def folders(self) -> Sequence[Path]:
        """Folders of their own that parts of the projection have."""
        return [step.folder for step in self.projection if isinstance(step, DenseStep)]

    @property
    def query_length(self) -> int | None:
        """Tokens of a query at most; None for what the model can read."""
        return self.expansion.length if self.expansion is not None and self.expansion.cuts else self.query.length

    @property
    def unit(self) -> str:
        """The name of a score's unit: ``sum of cosines`` or ``mean cosine``."""
        products = "cosine" if self.normalizes else "inner product"
        return f"mean {products}" if self.is_mean else f"sum of {products}s"

    @property
    def highest_score(self) -> float:
        """The score of a text with itself, as far as it is known: the number of a query's vectors, or 1 for a mean."""
        if self.is_mean:
            return 1.0
        return float(self.query_length or self.query.length or DEFAULT_QUERY_LENGTH)

    def width(self, hidden: int | None) -> int | None:
        """Return the length of a token's vector, given the width of the transformer; None if that is not known."""
        return self.projection[-1].n_out if self.projection else hidden


DEFAULT_QUERY_LENGTH, DEFAULT_DOCUMENT_LENGTH = 32, 180
"""Tokens, where a PyLate folder says nothing; ColBERT's own (Khattab and Zaharia 2020)."""
