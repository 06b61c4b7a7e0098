"""Attributes that are computed at their first access."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

__all__ = ["computed_once"]

T = TypeVar("T")


class computed_once(Generic[T]):
    """``functools.cached_property`` without its lock.

    Up to Python 3.11 that lock is shared by all objects of a class. In a process that is forked while another thread
    computes a value, it stays locked for ever. Here two threads that read the attribute at once both compute it.

    Args:
        compute: The method.
    """

    def __init__(self, compute: Callable[[Any], T]) -> None:
        self._compute = compute
        self.__doc__ = compute.__doc__

    def __set_name__(self, _owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, one: None, owner: type) -> computed_once[T]: ...
    @overload
    def __get__(self, one: object, owner: type) -> T: ...
    def __get__(self, one: object | None, owner: type) -> computed_once[T] | T:
        if one is None:
            return self
        # An instance attribute takes precedence over this descriptor, so the next access does not come here.
        value = vars(one)[self._name] = self._compute(one)
        return value
