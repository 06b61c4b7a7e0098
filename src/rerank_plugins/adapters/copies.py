"""Copies and pickles of an object that holds loaded models and something of its framework's that is not copied."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any, ClassVar

from typing_extensions import Self

__all__ = ["SharedModels"]


class SharedModels:
    """Base of what is copied with its models shared, inherited in front of the framework's class.

    A copy, deep or not, has the very same of what :attr:`_not_copied` names. A pickle holds nothing of that, and
    unpickling makes it anew; the models are opened again, where that happens.
    """

    _not_copied: ClassVar[Mapping[str, Callable[[], Any]]] = {}
    """Attributes that belong to the framework, and what makes each anew."""

    def __copy__(self) -> Self:
        made = type(self).__new__(type(self))
        vars(made).update(vars(self))
        return made

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        made = memo[id(self)] = self.__copy__()
        vars(made).update(deepcopy(self.__getstate__(), memo))
        return made

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in self._not_copied}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, **{name: make() for name, make in self._not_copied.items()})
