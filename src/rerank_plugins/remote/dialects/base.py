"""What a dialect is: where a service is, what it takes, and two functions, one to ask and one to read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from rerank_plugins.catalog.spec import ScoreScale, ScoreScope
from rerank_plugins.remote.answers import count_at, numbered_scores, numbered_vectors
from rerank_plugins.remote.limits import BatchLimits

__all__ = [
    "EmbedDialect",
    "EmbedRequest",
    "RemoteResult",
    "RerankDialect",
    "RerankRequest",
    "Service",
    "named",
    "openai_body",
    "openai_reader",
    "results_reader",
]

_TOKENS = ("usage.total_tokens", "meta.billed_units.input_tokens", "meta.tokens.input_tokens", "tokens.input_tokens")
_SEARCHES = "meta.billed_units.search_units"


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """Where a service is.

    Attributes:
        name: What stands in front of the colon: ``cohere``.
        base_url: Its address; empty for software that runs anywhere, whose address stands in the name.
        key_envs: Environment variables that hold the key for this address, the first that is set.
        needs_model: Whether requests name a model.
    """

    name: str
    base_url: str = ""
    key_envs: tuple[str, ...] = ()
    needs_model: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class RerankRequest:
    """One request for scores.

    Attributes:
        model: The model's name there; empty if there is none.
        query: The query.
        documents: The documents.
        scale: What the scores are to be.
        prompt: An instruction for the model; empty for its own.
    """

    model: str
    query: str
    documents: Sequence[str]
    scale: ScoreScale
    prompt: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedRequest:
    """One request for vectors.

    Attributes:
        model: The model's name there; empty if there is none.
        texts: The texts.
        is_query: Whether they are queries; else they are documents.
    """

    model: str
    texts: Sequence[str]
    is_query: bool


@dataclass(frozen=True, slots=True, eq=False)
class RemoteResult:
    """What was read of an answer.

    Attributes:
        rows: A score, or a vector, per text, in the order of the texts.
        tokens: Tokens that the service counted; 0 if it does not say.
        searches: Searches, Cohere's unit of account; 0 if the service does not say.
    """

    rows: npt.NDArray[np.floating]
    tokens: int = 0
    searches: int = 0


def _of_the_model(_model: str) -> ScoreScope:
    return "model"


@dataclass(frozen=True, slots=True, kw_only=True)
class RerankDialect:
    """How a service reranks.

    Attributes:
        service: Where it is.
        path: Behind its address.
        fits: How much one request holds.
        body: Makes a request.
        read: Makes scores of an answer, the number of documents and the scale; raises RemoteError if it is none.
        scale: What its scores are where nobody says otherwise.
        scope: Whether scores of a model can be compared beyond one request.
        prompt_key: The request's name for an instruction; empty if it takes none.
    """

    service: Service
    path: str
    fits: BatchLimits
    body: Callable[[RerankRequest], dict[str, Any]]
    read: Callable[[Any, int, ScoreScale], RemoteResult]
    scale: ScoreScale = "probability"
    scope: Callable[[str], ScoreScope] = _of_the_model
    prompt_key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedDialect:
    """How a service embeds; fields as in :class:`RerankDialect`.

    Attributes:
        dimensions_key: The request's name for the length of vectors.
    """

    service: Service
    path: str
    fits: BatchLimits
    body: Callable[[EmbedRequest], dict[str, Any]]
    read: Callable[[Any, int], RemoteResult]
    dimensions_key: str = "dimensions"


def results_reader(
    service: str, *, rows: str = "results", score: str = "relevance_score"
) -> Callable[[Any, int, ScoreScale], RemoteResult]:
    """Return what reads the answers that most services give, with tokens and searches where there are any.

    Args:
        service: Who answers, for messages.
        rows: Path of the results; empty for the answer itself.
        score: Name of the score in a result.
    """
    # No function within this one: a dialect that is another one's copy with changes is pickled with it.
    return partial(_read_results, service=service, rows=rows, score=score)


def _read_results(found: Any, n: int, _scale: ScoreScale, *, service: str, rows: str, score: str) -> RemoteResult:
    scores = numbered_scores(found, n, service=service, rows=rows, score=score)
    return RemoteResult(np.array(scores), tokens=count_at(found, *_TOKENS), searches=count_at(found, _SEARCHES))


def openai_body(request: EmbedRequest, **more: Any) -> dict[str, Any]:
    """Return a request in OpenAI's form."""
    return {**({"model": request.model} if request.model else {}), "input": list(request.texts), **more}


def openai_reader(service: str) -> Callable[[Any, int], RemoteResult]:
    """Return what reads answers in OpenAI's form."""
    return partial(_read_openai, service=service)


def _read_openai(found: Any, n: int, *, service: str) -> RemoteResult:
    return RemoteResult(numbered_vectors(found, n, service=service), tokens=count_at(found, *_TOKENS))


def named(model: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a body with the model's name, where there is one."""
    return {**({"model": model} if model else {}), **values}
