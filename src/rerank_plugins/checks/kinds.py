"""Which values an annotated type accepts, and how an error message describes them.

NumPy's scalars count as the Python values they stand for. A bool is no number and a number no bool, a string is no
list, and an integer has at most 64 bits: ``True`` for a length or ``"False"`` for a switch is a mistake.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from numbers import Integral, Real
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from rerank_plugins.checks.ranges import Count, Fraction, Milliseconds, ModelName, Seconds, Within
from rerank_plugins.errors import InvalidInputError

__all__ = ["Count", "Fraction", "Kind", "Milliseconds", "ModelName", "Seconds", "Within", "kind_of", "shown"]

_LARGEST = 2**63 - 1
_SHOWN_CHARACTERS = 60
_LONGEST_NAME, _LONGEST_PATH = 255, 4_095  # Bytes; the limits of Linux, the others' are not higher.
_NUMPY_BOOLS = {("numpy", "bool"), ("numpy", "bool_")}


class _RefusedError(Exception):
    """A value, or one at a place in it, is none of a kind."""

    def __init__(self, found: object, words: str, place: str = "") -> None:
        super().__init__(words)
        self.found, self.words, self.place = found, words, place

    def at(self, place: str) -> _RefusedError:
        return _RefusedError(self.found, self.words, place + self.place)


@dataclass(frozen=True, slots=True, eq=False)
class Kind:
    """What an annotation accepts.

    Attributes:
        words: For messages: ``a string``.
        take: Returns the value to use, or raises what :meth:`check` turns into InvalidInputError.
    """

    words: str
    take: Callable[[Any], Any]

    def check(self, name: str, value: object) -> Any:
        """Return the value to use, or raise InvalidInputError that names the argument and what it got."""
        try:
            return self.take(value)
        except _RefusedError as error:
            msg = f"{name}{error.place} must be {error.words}, got {shown(error.found)}"
            raise InvalidInputError(msg) from None


def shown(value: object) -> str:
    """Return what a message says about a value: itself if that is short and cannot fail, else its type."""
    if isinstance(value, int) and not -_LARGEST <= value <= _LARGEST:
        return f"an integer of {value.bit_length()} bits"
    if value is None or isinstance(value, (bool, int, float, str, bytes, Path)):
        text = repr(value)
        return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."
    return f"the class {value.__name__}" if isinstance(value, type) else type(value).__name__


def kind_of(hint: Any) -> Kind | None:
    """Return what an annotation accepts; None for one that says nothing that could be checked."""
    if hint in _PLAIN:
        return _PLAIN[hint]
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _narrowed(kind_of(inner[0]), inner[1:])
    if origin in (Union, UnionType):
        return _one_of(inner)
    if origin is Literal:
        return _choice(inner)
    if origin is tuple and inner[1:] != (...,):
        return _fixed(inner)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return _mapping(*inner)
    if origin in _LISTS and inner:
        return _several(origin, inner[0])
    return _instance(origin or hint)


def _take_bool(value: Any) -> bool:
    if value is True or value is False:
        return bool(value)
    if (type(value).__module__, type(value).__name__) in _NUMPY_BOOLS:
        return bool(value)
    raise _RefusedError(value, "True or False")


def _take_int(value: Any) -> int:
    # The exact type first: what nearly every call passes, and cheaper than asking an abstract class.
    if type(value) is int or (isinstance(value, Integral) and not isinstance(value, bool)):
        number = int(value)
        if -_LARGEST <= number <= _LARGEST:
            return number
    raise _RefusedError(value, "an integer")


def _take_float(value: Any) -> float:
    if type(value) is float:
        return value
    if isinstance(value, Real) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            pass
    raise _RefusedError(value, "a number")


def _take_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise _RefusedError(value, "a string")


def _take_none(value: Any) -> None:
    if value is not None:
        raise _RefusedError(value, "None")


def _take_path(value: Any) -> str | Path:
    if isinstance(value, (str, Path)) and str(value).strip():
        try:
            name = os.fsencode(value)
        except UnicodeEncodeError:
            name = b"\0"
        if b"\0" not in name and max(map(len, name.split(b"/"))) <= _LONGEST_NAME and len(name) <= _LONGEST_PATH:
            return value
    raise _RefusedError(value, _PATH_WORDS)


def _take_callable(value: Any) -> Any:
    if callable(value):
        return value
    raise _RefusedError(value, "a function")


_LISTS = (Collection, Iterable, Iterator, Sequence, frozenset, list, set, tuple)
_PATH_WORDS = "a path or name that a file can have"
_PATH = Kind(_PATH_WORDS, _take_path)
_PLAIN: dict[Any, Kind | None] = {
    Any: None,
    object: None,
    bool: Kind("True or False", _take_bool),
    int: Kind("an integer", _take_int),
    float: Kind("a number", _take_float),
    str: Kind("a string", _take_text),
    Path: _PATH,
    NoneType: Kind("None", _take_none),
    Callable: Kind("a function", _take_callable),
}


def _narrowed(kind: Kind | None, metadata: Sequence[object]) -> Kind | None:
    """Return a kind within a range, or with words of its own."""
    limits = [one for one in metadata if isinstance(one, Within)]
    described = [one for one in metadata if isinstance(one, str)]
    if kind is None or not (limits or described):
        return kind
    in_range = "a positive integer" if kind is _PLAIN[int] and limits == [Within(1)] else None
    words = described[0] if described else in_range or limits[0].of(kind.words)

    def take(value: Any) -> Any:
        try:
            taken = kind.take(value)
        except _RefusedError:
            raise _RefusedError(value, words) from None
        if not all(limit.holds(taken) for limit in limits):
            raise _RefusedError(value, words)
        return taken

    return Kind(words, take)


def _one_of(hints: Sequence[Any]) -> Kind | None:
    members = [hint for hint in hints if hint is not NoneType]
    if str in members and Path in members:
        members = [hint for hint in members if hint is not str]
    found = [kind_of(hint) for hint in members]
    if None in found:
        return None
    kinds = [kind for kind in found if kind is not None]
    takes_none = NoneType in hints
    words = " or ".join([kind.words for kind in kinds] + ["None"] * takes_none)

    def take(value: Any) -> Any:
        if value is None and takes_none:
            return None
        inner = None
        for kind in kinds:
            try:
                return kind.take(value)
            except _RefusedError as error:
                inner = error if error.place else inner
        raise inner or _RefusedError(value, words)

    return Kind(words, take)


def _choice(options: Sequence[object]) -> Kind:
    names = [repr(option) for option in options]
    words = " or ".join(names) if len(names) < 3 else f"one of {', '.join(names)}"

    def take(value: Any) -> Any:
        if isinstance(value, str) and value in options:
            return value
        raise _RefusedError(value, words)

    return Kind(words, take)


def _items(value: Any, words: str) -> list[Any]:
    # A string, a mapping or a set iterates too, and would lose the texts or their order.
    if isinstance(value, (str, bytes, Mapping, Set, type)) or not isinstance(value, Iterable):
        raise _RefusedError(value, words)
    try:
        return list(value)
    except TypeError as error:  # An array without dimensions says only here that it has no items.
        raise _RefusedError(value, words) from error


def _several(origin: type, inner: Any) -> Kind:
    kind, words = kind_of(inner), "a list"
    keeps_sets = issubclass(origin, Set) or not issubclass(origin, (Sequence, tuple))

    def take(value: Any) -> Any:
        items = list(value) if keeps_sets and isinstance(value, (Set, Mapping)) else _items(value, words)
        taken = items if kind is None else [_item(kind, f"[{place}]", one) for place, one in enumerate(items)]
        if isinstance(value, (list, tuple, Set, Mapping)) and all(map(_is_same, taken, items)):
            return tuple(value) if origin is tuple and not isinstance(value, tuple) else value
        return tuple(taken) if origin is tuple else taken

    return Kind(words, take)


def _fixed(inner: Sequence[Any]) -> Kind:
    kinds = [kind_of(hint) for hint in inner]
    words = f"{len(kinds)} values"

    def take(value: Any) -> Any:
        items = _items(value, words)
        if len(items) != len(kinds):
            raise _RefusedError(value, words)
        return tuple(
            one if kind is None else _item(kind, f"[{place}]", one)
            for place, (kind, one) in enumerate(zip(kinds, items, strict=True))
        )

    return Kind(words, take)


def _mapping(keys: Any, values: Any) -> Kind:
    key_kind, value_kind, words = kind_of(keys), kind_of(values), "a mapping such as a dict"

    def take(value: Any) -> Any:
        if not isinstance(value, Mapping):
            raise _RefusedError(value, words)
        taken = {}
        for key, one in value.items():
            if key_kind is not None:
                _item(key_kind, " keys", key)
            taken[key] = one if value_kind is None else _item(value_kind, f"[{shown(key)}]", one)
        return value if all(map(_is_same, taken.values(), value.values())) else taken

    return Kind(words, take)


def _instance(hint: Any) -> Kind | None:
    if hint in (Callable, type) or not isinstance(hint, type):
        return _PLAIN[Callable] if hint is Callable else None
    if getattr(hint, "_is_protocol", False) and not getattr(hint, "_is_runtime_protocol", False):
        return None
    words = f"{'an' if hint.__name__[0] in 'AEIO' else 'a'} {hint.__name__}"

    def take(value: Any) -> Any:
        if isinstance(value, hint) and not isinstance(value, type):
            return value
        raise _RefusedError(value, words)

    return Kind(words, take)


def _item(kind: Kind, place: str, value: Any) -> Any:
    try:
        return kind.take(value)
    except _RefusedError as error:
        raise error.at(place) from None


def _is_same(one: object, other: object) -> bool:
    return one is other
