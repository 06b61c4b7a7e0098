"""Checks the arguments of every public call: options that exist, with values of the types in the signature.

One decorator reads the signature, so that what is written for readers and type checkers is what is checked, and no
function repeats it. Ranges that a type cannot say are written into it
(:class:`~rerank_plugins.checks.kinds.Within`), or checked where they depend on the model. What is only ever returned (a
ranking's documents) is not checked: it is made by the thousand.
"""

from __future__ import annotations

import inspect
import sys
from collections import ChainMap
from collections.abc import Callable, Collection, Mapping
from dataclasses import fields
from functools import wraps
from types import SimpleNamespace
from typing import Any, TypeVar, cast, get_type_hints

from rerank_plugins.checks.foreign_names import unknown_option
from rerank_plugins.checks.kinds import Kind, kind_of
from rerank_plugins.checks.moved import Moved, regrouped, warn_of_old_names
from rerank_plugins.errors import UnknownOptionError

__all__ = ["checked_call", "checked_fields"]

_Function = TypeVar("_Function", bound=Callable[..., Any])
_Class = TypeVar("_Class", bound=type)


def checked_call(
    *, unchecked: Collection[str] = (), moved: Mapping[str, Moved] | None = None
) -> Callable[[_Function], _Function]:
    """Check the arguments of a function, a method or a constructor against its signature.

    The function gets plain Python values: NumPy's scalars are turned into those.

    Args:
        unchecked: Parameters that the function checks itself: texts, of which there may be many, and what has a shape
            that a type cannot say.
        moved: Options that were the function's own once, by their old names; None for none. They still work, with a
            DeprecationWarning.

    Returns:
        A decorator. What it makes raises UnknownOptionError for an option that there is none of, and
        InvalidInputError for a value of another type.
    """

    def decorate(function: _Function) -> _Function:
        return _checked(
            function, _ArgumentChecker(function, sys.modules[function.__module__].__dict__, unchecked, moved or {})
        )

    return decorate


def _checked(function: _Function, checker: _ArgumentChecker) -> _Function:
    if inspect.iscoroutinefunction(function):

        @wraps(function)
        async def checked(*args: Any, **kwargs: Any) -> Any:
            return await function(*checker.check(args, kwargs), **kwargs)

    else:

        @wraps(function)
        def checked(*args: Any, **kwargs: Any) -> Any:
            return function(*checker.check(args, kwargs), **kwargs)

    return cast("_Function", checked)


def checked_fields(*, unchecked: Collection[str] = ()) -> Callable[[_Class], _Class]:
    """Check the fields of a dataclass where one is made, as :func:`checked_call` does; ``unchecked`` likewise."""

    def decorate(owner: _Class) -> _Class:
        made = cast("Any", owner)
        made.__init__.__annotations__ = {one.name: one.type for one in fields(made) if one.init}
        made.__init__.__qualname__ = f"{owner.__qualname__}.__init__"
        made.__init__.__module__ = owner.__module__
        # Fields of a base class are annotated with the names of its own module.
        modules = (sys.modules[one.__module__].__dict__ for one in owner.__mro__)
        made.__init__ = _checked(made.__init__, _ArgumentChecker(made.__init__, ChainMap(*modules), unchecked, {}))
        return owner

    return decorate


class _ArgumentChecker:
    """Checks the arguments of one callable.

    Annotations are read at the first call: they may name what is defined below.

    Args:
        function: The callable.
        names: What its annotations may name.
        unchecked: Parameters that it checks itself.
        moved: Options that are in others now.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        names: Mapping[str, Any],
        unchecked: Collection[str],
        moved: Mapping[str, Moved],
    ) -> None:
        self._owner, self._name = function.__qualname__.removesuffix(".__init__"), function.__name__
        self._annotations: Mapping[str, Any] = function.__annotations__
        self._names = names
        parameters = list(inspect.signature(function).parameters.values())
        self._is_method = bool(parameters) and parameters[0].name in ("self", "cls")
        self._by_place = [one.name for one in parameters if one.kind is not one.KEYWORD_ONLY]
        self._unchecked = {*unchecked, *self._by_place[: self._is_method]}
        self._all = [one.name for one in parameters][self._is_method :]
        self._moved = moved
        self._kinds: dict[str, Kind | None] | None = None

    def check(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
        """Return the arguments by place to use and put those by name into ``kwargs``.

        Raises:
            UnknownOptionError: A name that there is none of, or more arguments by place than the function takes.
            InvalidInputError: A value of another type.
        """
        kinds = self._kinds or self._read()
        if self._moved:
            self._regroup(kwargs)
        for name, value in kwargs.items():
            if name not in kinds:
                raise UnknownOptionError(unknown_option(self._called(args), name, self._all, moved=self._moved))
            kind = kinds[name]
            if kind is not None:
                kwargs[name] = kind.check(name, value)
        if len(args) > len(self._by_place):
            raise UnknownOptionError(self._too_many(args))
        return [
            value if (kind := kinds[name]) is None else kind.check(name, value)
            for name, value in zip(self._by_place, args, strict=False)
        ]

    def _regroup(self, kwargs: dict[str, Any]) -> None:
        old = [name for name in kwargs if name in self._moved]
        if old:
            # This method, check() and the decorated function stand between the warning and the caller.
            warn_of_old_names(self._owner, old, self._moved, stacklevel=4)
            grouped = regrouped(kwargs, self._moved)
            kwargs.clear()
            kwargs.update(grouped)

    def _read(self) -> dict[str, Kind | None]:
        self._kinds = dict.fromkeys(self._by_place) | {name: self._kind(name) for name in self._all}
        return self._kinds

    def _kind(self, name: str) -> Kind | None:
        if name in self._unchecked or name not in self._annotations:
            return None
        one = SimpleNamespace(__annotations__={name: self._annotations[name]})
        try:
            return kind_of(get_type_hints(one, dict(self._names), include_extras=True)[name])
        except NameError:
            # The type of an optional dependency, which is imported for type checkers only.
            return None

    def _called(self, args: tuple[Any, ...]) -> str:
        """Return what a caller knows the function as: a method by the class of its object, wherever it is written."""
        if not self._is_method or self._name == "__init__" or not args:
            return self._owner
        owner = args[0] if isinstance(args[0], type) else type(args[0])
        return f"{owner.__name__}.{self._name}"

    def _too_many(self, args: tuple[Any, ...]) -> str:
        by_place = self._by_place[self._is_method :]
        by_name = [name for name in self._all if name not in by_place]
        return (
            f"{self._called(args)} takes {len(by_place)} arguments by place ({', '.join(by_place)}), got "
            f"{len(args) - self._is_method}; the others by name: {', '.join(by_name) or 'none'}"
        )
