"""Options that are fields of an option object now: their old, flat spelling still works, with a warning.

One table a facade says where each of them is. What keeps options flat by its nature (an adapter's fields, a saved
file, a command line) is turned into the facade's options by the same table, without a warning.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from rerank_plugins.checks.kinds import shown
from rerank_plugins.errors import InvalidInputError

__all__ = ["Moved", "field_of", "regrouped", "warn_of_old_names"]


@dataclass(frozen=True, slots=True)
class Moved:
    """Where an option is now.

    Attributes:
        option: The option that it is in.
        spelling: How it is written, for people: ``source=SourceOptions(revision=...)``.
        put: Returns the value of that option, made of the one that was given (None for none) and of what is put in.
    """

    option: str
    spelling: str
    put: Callable[[Any, Any], Any]


def field_of(option: str, owner: type[Any], name: str, *, whole: Callable[[Any], Any] | None = None) -> Moved:
    """Return where an option is now that has become a field of an option object.

    Args:
        option: The option that holds the object.
        owner: The object's class, a dataclass whose fields all have defaults.
        name: The field.
        whole: Makes the object of a short form of it, such as a name; None where there is no short form.
    """
    default = next(one.default for one in fields(owner) if one.name == name)

    def put(current: Any, value: Any) -> Any:
        if current is not None and whole is not None:
            current = whole(current)
        if current is not None and not isinstance(current, owner):
            return current  # Refused with all other values of a wrong type.
        before = default if current is None else getattr(current, name)
        if _is_same(value, default) or _is_same(value, before):
            return current
        if before != default:
            msg = f"{name}={shown(value)} and {option} with {name}={shown(before)} were given; leave one of them out"
            raise InvalidInputError(msg)
        whole_before: Any = owner() if current is None else current
        return replace(whole_before, **{name: value})

    return Moved(option, f"{option}={owner.__name__}({name}=...)", put)


def _is_same(one: object, other: object) -> bool:
    # Of one type: 0 equals False, and is refused as a switch all the same.
    return one is other or (type(one) is type(other) and one == other)


def regrouped(options: Mapping[str, Any], moved: Mapping[str, Moved]) -> dict[str, Any]:
    """Return options in which each flat one is put into the option object that it is a part of.

    Raises:
        InvalidInputError: A value cannot work, or is given twice and differs.
    """
    result = {name: value for name, value in options.items() if name not in moved}
    for name, value in options.items():
        if name in moved:
            place = moved[name]
            made = place.put(result.get(place.option), value)
            if made is not None:
                result[place.option] = made
    return result


def warn_of_old_names(owner: str, names: Sequence[str], moved: Mapping[str, Moved], *, stacklevel: int) -> None:
    """Warn a caller, once for each line of code, and say how the options are written now."""
    now = ", ".join(dict.fromkeys(moved[name].spelling for name in names))
    message = f"{owner}({', '.join(f'{name}=...' for name in names)}) is the old spelling and will go; write {now}"
    warnings.warn(message, DeprecationWarning, stacklevel=stacklevel + 1)
