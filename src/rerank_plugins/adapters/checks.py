"""Checks that the adapters of every framework make before a model is loaded or called."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from rerank_plugins.adapters.values import as_number, as_real
from rerank_plugins.catalog import names
from rerank_plugins.catalog.layers import resolve_layers
from rerank_plugins.catalog.resolve import resolve
from rerank_plugins.catalog.spec import ModelSpec
from rerank_plugins.catalog.table import find_by_id
from rerank_plugins.embedder import Embedder
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.inputs import check_positive
from rerank_plugins.ranking.order import check_threshold
from rerank_plugins.reranker import Reranker
from rerank_plugins.types import LayerOptions, ScoreUnit, SourceOptions

__all__ = [
    "check_kind",
    "check_list",
    "check_model",
    "checked_count",
    "checked_limits",
    "is_same",
    "known_before_loading",
    "same_model",
]


def check_kind(name: str, value: object, kinds: type | tuple[type, ...], *, expected: str) -> None:
    """Raise InvalidInputError unless a value is of one of some kinds.

    Args:
        name: The argument's name.
        value: What was passed.
        kinds: What it may be.
        expected: The same in words, with the way out where there is one.
    """
    if not isinstance(value, kinds):
        msg = f"{name} must be {expected}; got {type(value).__name__}"
        raise InvalidInputError(msg)


def check_list(name: str, value: object, kinds: type | tuple[type, ...], *, plural: str, expected: str) -> None:
    """Raise InvalidInputError unless a value is a list of things of some kinds.

    Args:
        name: The argument's name.
        value: What was passed.
        kinds: What its elements may be.
        plural: What it is a list of, in words.
        expected: What each element must be, in words.
    """
    if isinstance(value, (str, bytes)) or not isinstance(value, Sequence):
        msg = f"{name} must be a list of {plural}, got {type(value).__name__}; put a single one into a list"
        raise InvalidInputError(msg)
    for position, one in enumerate(value):
        check_kind(f"{name}[{position}]", one, kinds, expected=expected)


def checked_count(name: str, value: object) -> int:
    """Return a positive integer, or the text of one as it, or raise InvalidInputError for anything else, None too."""
    number = as_number(value)
    if number is None:
        msg = f"{name} must be a positive integer, got None"
        raise InvalidInputError(msg)
    check_positive(name, number)
    return int(number)


def checked_limits(*, top_n: object, threshold: object, threshold_unit: ScoreUnit) -> tuple[int | None, float | None]:
    """Return ``top_n`` and ``threshold`` as numbers or None, or raise InvalidInputError if one cannot work."""
    try:
        number = as_real(threshold)
    except InvalidInputError as error:
        msg = f"threshold {error}"
        raise InvalidInputError(msg) from error
    check_kind("threshold_unit", threshold_unit, str, expected="'raw' or 'probability'")
    check_threshold(number, unit=threshold_unit)
    return None if top_n is None else checked_count("top_n", top_n), number


def is_same(one: object, other: object) -> bool:
    """Return whether two values of an option are the same; anything may be passed, arrays too."""
    return one is other or (type(one) is type(other) and bool(one == other))


def same_model(one: Reranker | Embedder, other: Reranker | Embedder) -> bool:
    """Return whether two core objects hold the same weights in memory."""
    if one is other:
        return True
    first, second = one._lease, other._lease
    return not first.is_closed and not second.is_closed and first.value is second.value


def known_before_loading(model: str | Path, *, family: str | None) -> ModelSpec | None:
    """Return what is known about a model without fetching or loading it; None for a hub id that is not listed.

    Raises:
        ModelError: It is a folder that cannot be used, or an embedder.
    """
    listed = find_by_id(str(model), kind="reranker")
    if listed is None and names.existing_folder(model) is not None:
        return resolve(model, kind="reranker", options=SourceOptions(family=family)).spec
    if listed is None:
        names.check_kind(model, kind="reranker")
    return listed


def check_model(
    spec: ModelSpec,
    *,
    owner: str,
    scorers: Collection[str],
    instead: str,
    layers: LayerOptions | None,
    default: LayerOptions | None = None,
) -> None:
    """Check that a model is of the kind that a class is for, and can do what the class will ask of it.

    Args:
        spec: The model.
        owner: Name of the class, for the message.
        scorers: Scorers that run models of this kind; empty accepts all.
        instead: Name of the class that takes every model, for the message.
        layers: The layers that calls will ask for.
        default: The layers that count where they ask for none.

    Raises:
        InvalidInputError: Another scorer runs it, it has no such layers, or more than one layer is asked for.
    """
    if scorers and spec.scorer not in scorers:
        msg = (
            f"{owner} is for models that run on the scorer {' or '.join(sorted(scorers))}; {spec.id!r} runs on "
            f"{spec.scorer!r}. Use {instead}, which takes every model"
        )
        raise InvalidInputError(msg)
    resolved = resolve_layers(spec.layers, requested=layers, default=default)
    cutoff = () if resolved is None else resolved.cutoff_layers or ()
    if len(cutoff) > 1:
        msg = (
            f"a ranking has one score a document, and cutoff_layers={cutoff} asks for {len(cutoff)}; give one layer. "
            "The core's Reranker.score_layers() compares several"
        )
        raise InvalidInputError(msg)
