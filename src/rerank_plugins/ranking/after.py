"""Steps after ranking: more different documents, the best at both ends, and a token budget.

Pure functions over a ranking, which may be anything in order: they return places in it, and scores and ranks stay as
they are, so that the order stays explainable.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import NoneType
from typing import Annotated

import numpy as np
import numpy.typing as npt

from rerank_plugins.checks.arguments import checked_call
from rerank_plugins.checks.kinds import Count, Within
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.inputs import check_iterable

__all__ = ["best_at_both_ends", "diverse_order", "within_tokens"]

_Share = Annotated[float, Within(0.0, 1.0)]


@checked_call(unchecked=("relevance", "vectors"))
def diverse_order(
    relevance: Sequence[float],
    vectors: npt.ArrayLike,
    *,
    trade_off: _Share = 0.7,
    top_n: Count | None = None,
) -> list[int]:
    """Return places in the order of maximal marginal relevance (MMR).

    Each time the document is taken for which ``trade_off * relevance - (1 - trade_off) * similarity`` is largest, where
    the similarity is the largest cosine with a document that was taken before (Carbonell & Goldstein, SIGIR 1998).
    Both must be on one scale: probabilities (``RankedDocument.probability``) beside cosines. Of equal ones the first
    in the ranking is taken, so that ``trade_off=1`` keeps a ranking as it is.

    Args:
        relevance: Of each document, in the ranking's order; in [0, 1].
        vectors: Of each document, by any embedder; any length. Shape: (documents, dimensions).
        trade_off: How much relevance counts against being different: 1 is relevance alone, 0 difference alone.
        top_n: Documents that are taken; None takes all.

    Returns:
        Places in ``relevance``, in the new order.

    Raises:
        InvalidInputError: The shapes do not fit, a number is not finite, or a relevance is not in [0, 1].
    """
    values, unit = _relevance(relevance), _unit_rows(vectors)
    if len(values) != len(unit):
        msg = f"{len(values)} documents need a vector each, got {len(unit)}"
        raise InvalidInputError(msg)
    n = len(values) if top_n is None else min(top_n, len(values))
    left = np.ones(len(values), dtype=bool)
    taken: list[int] = []
    nearest = np.full(len(values), -1.0)
    for _ in range(n):
        # Before the first one there is nothing to be different from.
        gains = trade_off * values - (1.0 - trade_off) * (nearest if taken else 0.0)
        best = int(np.argmax(np.where(left, gains, -np.inf)))
        taken.append(best)
        left[best] = False
        nearest = np.maximum(nearest, _cosines(unit, unit[best]))
    return taken


@checked_call()
def best_at_both_ends(n_documents: Annotated[int, Within(0)]) -> list[int]:
    """Return the places of a ranking so that the best stand at both ends and the least in the middle.

    Language models use what stands in the middle of a long prompt least (Liu et al., arXiv:2307.03172). The best comes
    first, the second last, the third second, and so on: 0, 2, 4, ..., 5, 3, 1.

    Args:
        n_documents: Documents in the ranking.
    """
    places = list(range(n_documents))
    return places[::2] + places[1::2][::-1]


@checked_call(unchecked=("texts",))
def within_tokens(
    texts: Sequence[str | None],
    *,
    max_tokens: Count,
    count_tokens: Callable[[str], int],
    separator_tokens: Annotated[int, Within(0)] = 0,
) -> list[int]:
    """Return the places of the best documents that together have at most so many tokens.

    From the best to the least, each document is taken that still fits, so a long one that does not fit makes room for
    shorter ones behind it. None is cut.

    Args:
        texts: The documents, best first; None has no tokens.
        max_tokens: Of all documents together, separators included.
        count_tokens: Returns the tokens of a text, such as ``lambda text: len(tokenizer.encode(text))``.
        separator_tokens: Tokens that stand between two documents.

    Returns:
        Places in ``texts``, in their order; empty if not even one fits.

    Raises:
        InvalidInputError: ``texts`` is no list or holds something else, or ``count_tokens`` gives something else than a
            whole number of 0 or more.
    """
    taken: list[int] = []
    used = 0
    for place, text in enumerate(check_iterable(texts, name="texts")):
        if not isinstance(text, (str, NoneType)):
            msg = f"texts[{place}] must be a string or None, got {type(text).__name__}"
            raise InvalidInputError(msg)
        needed = (0 if text is None else _counted(count_tokens, text)) + (separator_tokens if taken else 0)
        if used + needed <= max_tokens:
            taken.append(place)
            used += needed
    return taken


def _counted(count_tokens: Callable[[str], int], text: str) -> int:
    found: object = count_tokens(text)
    if isinstance(found, bool) or not isinstance(found, (int, np.integer)) or found < 0:
        msg = f"count_tokens must return how many tokens a text has, a whole number of 0 or more; got {found!r}"
        raise InvalidInputError(msg)
    return int(found)


def _relevance(relevance: Sequence[float]) -> npt.NDArray[np.float64]:
    try:
        values = np.asarray(relevance, dtype=np.float64)
    except (TypeError, ValueError) as error:
        msg = f"relevance must be a list of numbers: {error}"
        raise InvalidInputError(msg) from error
    if values.ndim != 1 or not ((values >= 0.0) & (values <= 1.0)).all():
        msg = "relevance must be one number in [0, 1] for each document; take the probabilities of a ranking"
        raise InvalidInputError(msg)
    return values


def _unit_rows(vectors: npt.ArrayLike) -> npt.NDArray[np.float64]:
    try:
        rows = np.asarray(vectors, dtype=np.float64)
    except (TypeError, ValueError) as error:
        msg = f"vectors must be a matrix of numbers: {error}"
        raise InvalidInputError(msg) from error
    if rows.size == 0 and len(rows) == 0:
        return np.zeros((0, 1))
    if rows.ndim != 2 or not np.isfinite(rows).all():
        msg = f"vectors must be finite numbers in the shape (documents, dimensions), got {rows.shape}"
        raise InvalidInputError(msg)
    # By its largest number first, so that no square is too large or too small for a float.
    largest = np.abs(rows).max(axis=1, keepdims=True, initial=0.0)
    rows = rows / np.where(largest > 0.0, largest, 1.0)
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1.0))


def _cosines(unit: npt.NDArray[np.float64], one: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    # A product of matrices rounds equal rows differently, by their places, and copies would change places.
    return np.asarray(np.round(np.einsum("ij,j->i", unit, one), 12))
