"""The fields of a body, one checked reader for each type. Messages name fields and types and never quote a text."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

from rerank_plugins.serving.refusals import Refusal

__all__ = ["Fields"]

_WORDS = {"true": True, "false": False}
_SHOWN = 40


class Fields:
    """A JSON object and the way to it. A field that is null counts as not there, as clients send it so.

    Args:
        values: The object.
        within: Name of the field that holds it, for messages.
    """

    def __init__(self, values: Mapping[str, Any], *, within: str = "") -> None:
        self._values, self._within = values, within

    def __contains__(self, name: str) -> bool:
        return self._values.get(name) is not None

    def raw(self, name: str) -> Any:
        """Return what is there, unchecked; None for nothing."""
        return self._values.get(name)

    def text(self, name: str) -> str:
        """Return a text that must be there."""
        return cast("str", self._typed(name, self._needed(name), str, "a string"))

    def optional_text(self, name: str) -> str | None:
        """Return a text; None if it is not there or empty."""
        value = self.raw(name)
        return None if value is None else self._typed(name, value, str, "a string") or None

    def flag(self, name: str, *, default: bool) -> bool:
        """Return a boolean; some clients write it as the text ``true``."""
        value = self.raw(name)
        if isinstance(value, str):
            value = _WORDS.get(value.lower(), value)
        return default if value is None else self._typed(name, value, bool, "true or false")

    def count(self, name: str, *, lowest: int = 1) -> int | None:
        """Return a whole number of at least ``lowest``; None if it is not there."""
        value = self.raw(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.wrong(name, "a whole number", value)
        if value < lowest:
            msg = f"{self._called(name)} must be at least {lowest}, got {str(value)[:_SHOWN]}"
            raise Refusal(msg, kind="invalid", param=name)
        return value

    def number(self, name: str, *, default: float) -> float:
        """Return a finite number."""
        value = self.raw(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise self.wrong(name, "a number", value)
        return float(value)

    def choice(self, name: str, choices: Sequence[str], *, default: str) -> str:
        """Return one of some words, in the spelling of ``choices``; capitals do not matter."""
        value = self.raw(name)
        if value is None:
            return default
        word = self._typed(name, value, str, "a string").lower()
        for one in choices:
            if one.lower() == word:
                return one
        msg = f"{self._called(name)} must be one of {', '.join(choices)}"
        raise Refusal(msg, kind="invalid", param=name)

    def objects(self, name: str) -> list[Any]:
        """Return a list that must be there and not be empty, its elements unchecked."""
        return self._filled(name, self._typed(name, self._needed(name), list, "a list"))

    def texts(self, name: str) -> list[str]:
        """Return a list of texts that is not empty; a single one counts as a list of one."""
        value = self._needed(name)
        items = [value] if isinstance(value, str) else self._typed(name, value, list, "a list of strings")
        self._filled(name, items)
        for index, item in enumerate(items):
            if not isinstance(item, str):
                place = f"{name}[{index}]"
                raise self.wrong(place, "a string", item)
        return items

    def choices(self, name: str, choices: Sequence[str], *, default: Sequence[str]) -> list[str]:
        """Return a list of some words; a single one counts as a list of one."""
        if self.raw(name) in (None, []):
            return list(default)
        unknown = [word for word in self.texts(name) if word not in choices]
        if unknown:
            msg = f"{self._called(name)} must be among {', '.join(choices)}"
            raise Refusal(msg, kind="invalid", param=name)
        return list(dict.fromkeys(self.texts(name)))

    def section(self, name: str, *, needed: bool = True) -> Fields:
        """Return an object inside this one; an empty one if it need not be there."""
        value = self._needed(name) if needed else self.raw(name)
        if value is None:
            return Fields({}, within=name)
        return Fields(self._typed(name, value, dict, "an object"), within=name)

    def wrong(self, name: str, wanted: str, value: object) -> Refusal:
        """Return what is said of a field of a wrong type."""
        msg = f"{self._called(name)} must be {wanted}, got {_json_name(value)}"
        return Refusal(msg, kind="invalid", param=name)

    def _needed(self, name: str) -> Any:
        value = self.raw(name)
        if value is None:
            msg = f"{self._called(name)} is missing"
            raise Refusal(msg, kind="invalid", param=name)
        return value

    def _filled(self, name: str, items: list[Any]) -> list[Any]:
        if not items:
            msg = f"{self._called(name)} is empty; give at least one"
            raise Refusal(msg, kind="empty", param=name)
        return items

    def _typed(self, name: str, value: object, kind: type[Any], wanted: str) -> Any:
        if not isinstance(value, kind):
            raise self.wrong(name, wanted, value)
        return value

    def _called(self, name: str) -> str:
        return f"{self._within}.{name}" if self._within else name


def _json_name(value: object) -> str:
    names: dict[type, str] = {dict: "an object", list: "a list", str: "a string", bool: "a boolean"}
    return "null" if value is None else names.get(type(value), "a number")
