"""Groups of options: a command takes a frozen dataclass, and its users see an option for each field.

The first sentence of the dataclass's docstring is the heading of these options in the command's help.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from copy import copy
from dataclasses import MISSING, fields, is_dataclass
from typing import Annotated, Any, get_args, get_type_hints

from rerank_plugins.errors import InvalidInputError

__all__ = ["heading_of", "refuse_without", "takes_groups"]


def takes_groups(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command as typer reads it: with the fields of each group in the place of the group.

    Args:
        command: Its parameters that are annotated with a dataclass are groups. Fields are annotated as options, and one
            without a default must be given.

    Raises:
        TypeError: Two options have one name.
    """
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, Any] = {name: kind for name, kind in hints.items() if name != "return" and is_dataclass(kind)}
    parameters: list[inspect.Parameter] = []
    for one in inspect.signature(command).parameters.values():
        if one.name in groups:
            parameters += _options_of(groups[one.name])
        else:
            parameters.append(one.replace(annotation=hints[one.name]))
    names = [one.name for one in parameters]
    if len(set(names)) < len(names):
        msg = f"{command.__name__} has two options of one name: {sorted(names)}"
        raise TypeError(msg)

    def flat(**values: Any) -> None:
        made = {name: kind(**{one.name: values.pop(one.name) for one in fields(kind)}) for name, kind in groups.items()}
        command(**values, **made)

    flat.__name__, flat.__doc__ = command.__name__, command.__doc__
    flat.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    flat.__annotations__ = {}
    return flat


def refuse_without(missing: str, group: Any, *, only: str | None = None) -> None:
    """Refuse options that count only with another one: they would do nothing.

    Args:
        missing: The other option, with its dashes.
        group: The options, a dataclass, whose fields have the defaults.
        only: The one of them that it is about; None for all.

    Raises:
        InvalidInputError: One is not at its default.
    """
    for one in fields(group):
        value = getattr(group, one.name)
        if only in (None, one.name) and value != one.default:
            written = f"--{one.name.replace('_', '-')} {value}"
            msg = f"{written} does nothing without {missing}: pass {missing} too, or leave it out"
            raise InvalidInputError(msg)


def heading_of(group: type) -> str:
    """Return what the options of a class are about: the beginning of its docstring, without what is in brackets."""
    return re.split(r"[.:(\n]|, see ", group.__doc__ or "")[0].strip()


def _options_of(group: Any) -> list[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(
            one.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if one.default is MISSING else one.default,
            annotation=_under_heading(hints[one.name], heading_of(group)),
        )
        for one in fields(group)
    ]


def _under_heading(hint: Any, heading: str) -> Any:
    """Return an option that ``--help`` shows in a panel of its own."""
    kind, option = get_args(hint)
    shown = copy(option)
    shown.rich_help_panel = heading
    return Annotated[kind, shown]
