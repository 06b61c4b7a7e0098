"""A mapping that cannot be changed and can be copied and pickled, which Python's own read-only view cannot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

__all__ = ["ReadOnly"]

_Value = TypeVar("_Value")


class ReadOnly(Mapping[str, _Value]):
    """The items of a mapping as they are now.

    Args:
        items: What is copied.
    """

    __slots__ = ("_items",)

    def __init__(self, items: Mapping[str, _Value]) -> None:
        self._items = dict(items)

    def __getitem__(self, key: str) -> _Value:
        return self._items[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        return repr(self._items)

    def __copy__(self) -> ReadOnly[_Value]:
        return self

    def __deepcopy__(self, _memo: dict[int, Any]) -> ReadOnly[_Value]:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return ReadOnly, (self._items,)
