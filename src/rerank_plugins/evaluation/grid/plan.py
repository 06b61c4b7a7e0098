"""The plan of the grid: retrievers, embedders, rerankers and depths, and their names."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode

from rerank_plugins.backends.named import backend_names
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.evaluation.results import System

__all__ = ["DEFAULT_MEASURES", "CurveOptions", "GridOptions", "ModelChoice", "StageChoice"]

DEFAULT_MEASURES = ("nDCG@10", "hit@5", "MRR@10", "MAP", "recall@10")

_RETRIEVERS = ("bm25", "dense", "hybrid", "candidates")
_EMBEDDING = ("dense", "hybrid")
_NUMBERS = ("max_length", "query_max_length")
_WORDS = ("long_documents", "dtype", "task", "prompt")
_BACKENDS_OWN = ("prompt",)
"""Options that are part of a backend's name where a model is one."""
_TEXTS = ("query_instruction", "document_instruction")
"""Of these an empty one says something: nothing stands in front."""
_CONSENTS = ("allow_pickle",)
_OPTIONS = (*_NUMBERS, *_WORDS, *_TEXTS, *_CONSENTS)


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """A model with options, written ``[NAME=]MODEL[?option=value&option=value]``.

    Attributes:
        name: What tables show: the given name, or everything as it was written.
        model: Hub id, folder or ``mini``.
        options: Sorted pairs for the facade's constructor.
    """

    name: str
    model: str
    options: tuple[tuple[str, str | int | bool], ...] = ()

    @classmethod
    def parse(cls, text: str) -> ModelChoice:
        """Return the choice that a text describes.

        Raises:
            InvalidInputError: An option is unknown or malformed.
        """
        name, equals, named = text.partition("=")
        has_name = bool(equals and name and named) and not set(name) & set("?/\\")
        model, mark, rest = (named if has_name else text).partition("?")
        pairs = parse_qsl(rest, keep_blank_values=True)
        if not model.strip() or (mark and not pairs):
            msg = f"expected MODEL, NAME=MODEL or MODEL?option=value&option=value, got {text!r}"
            raise InvalidInputError(msg)
        others = [pair for pair in pairs if pair[0] not in _OPTIONS or pair[0] in _BACKENDS_OWN]
        if others and model.partition(":")[0] in backend_names():
            # What an evaluation does not know is the backend's own, and part of its name.
            model, pairs = f"{model}?{urlencode(others)}", [pair for pair in pairs if pair not in others]
        keys = [key for key, _ in pairs]
        twice = next((key for key in keys if keys.count(key) > 1), None)
        if twice is not None:
            msg = f"{text!r} gives the option {twice!r} twice; leave one of them out"
            raise InvalidInputError(msg)
        return cls(
            name if has_name else text, model, tuple(sorted((key, _value(key, value, text)) for key, value in pairs))
        )

    @property
    def key(self) -> str:
        """The model and its options, independent of its display name."""
        return "&".join([self.model, *(f"{key}={value}" for key, value in self.options)])

    def keywords(self) -> dict[str, Any]:
        """Return the options as keyword arguments of the facade."""
        return dict(self.options)


@dataclass(frozen=True, slots=True)
class StageChoice:
    """A first stage: the retriever's name, and its embedder if it needs one."""

    retriever: str
    embedder: ModelChoice | None = None

    @property
    def name(self) -> str:
        """The name in curves and files."""
        return self.retriever if self.embedder is None else f"{self.retriever} {self.embedder.name}"

    @property
    def key(self) -> str:
        """The stage, independent of its embedder's display name."""
        return self.retriever if self.embedder is None else f"{self.retriever} {self.embedder.key}"

    def system(self, *, reranker: ModelChoice | None, top_k: int, top_n: int) -> System:
        """Return the column of the grid with this first stage."""
        return System(
            retriever=self.retriever,
            embedder=None if self.embedder is None else self.embedder.name,
            reranker=None if reranker is None else reranker.name,
            top_k=top_k,
            top_n=top_n,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class GridOptions:
    """The whole grid, checked when it is made.

    Attributes:
        retrievers: Of ``bm25``, ``dense``, ``hybrid``, ``candidates``.
        embedders: For ``dense`` and ``hybrid``, as :meth:`ModelChoice.parse` reads them.
        rerankers: Likewise; the first stage alone is always measured too.
        top_ks: Documents retrieved and reranked.
        top_ns: Documents kept; a pair with ``top_n`` above ``top_k`` is not run.
        measures: Names for :func:`~rerank_plugins.evaluation.measures.parse_measures`.
        seed: Of the sampling, the bootstrap and the test.
        n_resamples: Bootstrap samples per figure.
        n_permutations: Draws of the randomisation test.
        device: Where models run; None chooses.
        price_per_hour: Of the machine, for the cost; None leaves the cost out.

    Raises:
        InvalidInputError: A value cannot work.
    """

    retrievers: tuple[str, ...] = ("bm25", "dense", "hybrid")
    embedders: tuple[str, ...] = ("mini",)
    rerankers: tuple[str, ...] = ("mini",)
    top_ks: tuple[int, ...] = (20,)
    top_ns: tuple[int, ...] = (10,)
    measures: tuple[str, ...] = DEFAULT_MEASURES
    seed: int = 0
    n_resamples: int = 1000
    n_permutations: int = 10_000
    device: str | None = None
    price_per_hour: float | None = None

    def __post_init__(self) -> None:
        for name in ("retrievers", "top_ks", "top_ns", "measures"):
            if not getattr(self, name):
                msg = f"{name} must name at least one, got none"
                raise InvalidInputError(msg)
        self._check_names()
        unknown = [name for name in self.retrievers if name not in _RETRIEVERS]
        if unknown:
            msg = f"retriever must be one of {', '.join(_RETRIEVERS)}; got {unknown[0]!r}"
            raise InvalidInputError(msg)
        if not self.embedders and set(self.retrievers) & set(_EMBEDDING):
            msg = "dense and hybrid need an embedder; name one, or leave them out"
            raise InvalidInputError(msg)
        for name in ("top_ks", "top_ns"):
            _check_counts(name, getattr(self, name))
        for name in ("n_resamples", "n_permutations"):
            _check_counts(name, [getattr(self, name)])
        # NumPy would refuse it too, but only after everything was scored.
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or self.seed < 0:
            msg = f"seed must be a whole number of 0 or more, got {self.seed!r}"
            raise InvalidInputError(msg)
        price = self.price_per_hour
        if price is not None and not 0.0 <= price < math.inf:
            msg = f"price_per_hour must be a number of 0 or more, or None for no cost; got {price!r}"
            raise InvalidInputError(msg)
        if min(self.top_ns) > max(self.top_ks):
            msg = f"no top_n of {self.top_ns} is within a top_k of {self.top_ks}; retrieve more or keep fewer"
            raise InvalidInputError(msg)

    def _check_names(self) -> None:
        for texts in (self.embedders, self.rerankers):
            choices = {ModelChoice.parse(text) for text in texts}
            if len({choice.name for choice in choices}) < len(choices):
                msg = f"two models have one name in {', '.join(texts)}; give each its own"
                raise InvalidInputError(msg)

    @property
    def stages(self) -> list[StageChoice]:
        """The first stages: every retriever with every embedder, if it takes one."""
        embedders = [ModelChoice.parse(text) for text in dict.fromkeys(self.embedders)]
        return [
            StageChoice(retriever, embedder)
            for retriever in dict.fromkeys(self.retrievers)
            for embedder in (embedders if retriever in _EMBEDDING else [None])
        ]

    @property
    def reranker_choices(self) -> list[ModelChoice]:
        """The rerankers, each once."""
        return [ModelChoice.parse(text) for text in dict.fromkeys(self.rerankers)]

    @property
    def depth(self) -> int:
        """Documents requested of the first stages: the largest ``top_k``."""
        return max(self.top_ks)


@dataclass(frozen=True, slots=True, kw_only=True)
class CurveOptions:
    """The curves that are made in addition to the grid.

    Attributes:
        growth_from: The least corpus size of growth curves, which double it up to the whole corpus; None makes none.
        depths: Values of ``top_k`` of depth curves; empty makes none.
    """

    growth_from: int | None = None
    depths: tuple[int, ...] = ()


def _check_counts(name: str, values: Sequence[object]) -> None:
    for value in values:
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            msg = f"{name} must hold whole numbers of 1 or more, got {value!r}"
            raise InvalidInputError(msg)


def _value(key: str, value: str, text: str) -> str | int | bool:
    if key in _TEXTS or (key in _WORDS and value):
        return value
    if key in _NUMBERS and value.isdecimal():
        return int(value)
    if key in _CONSENTS and value == "true":
        return True
    options = ", ".join((*_WORDS, *_TEXTS, *_NUMBERS, *(f"{name}=true" for name in _CONSENTS)))
    msg = f"{text!r}: cannot use {key}={value!r}; options are {options}"
    raise InvalidInputError(msg)
