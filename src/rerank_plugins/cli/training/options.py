"""Settings as options of a command: name, type, default and first sentence of each are read off their classes."""

from __future__ import annotations

import inspect
import re
from dataclasses import MISSING, Field, fields
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import typer

from rerank_plugins.cli.option_groups import heading_of
from rerank_plugins.training.settings_flat import TrainingSettings, groups_of

__all__ = ["options_of", "own_defaults", "setting_names"]

_SHORT = {"model_name_or_path": ("--model", "-m"), "output_dir": ("--output", "-o")}


def setting_names(owner: type[TrainingSettings]) -> tuple[str, ...]:
    """Return the names of all settings of a training."""
    return tuple(one.name for group in groups_of(owner).values() for one in fields(group))


def own_defaults(owner: type[TrainingSettings]) -> dict[str, Any]:
    """Return the defaults of all settings of a training; MISSING for those without one."""
    return {one.name: one.default for group in groups_of(owner).values() for one in fields(group)}


def options_of(owner: type[TrainingSettings]) -> list[inspect.Parameter]:
    """Return the settings of a training as options; not given, each is None."""
    found = []
    for group in groups_of(owner).values():
        hints, first = get_type_hints(group, include_extras=True), _first_sentences(group)
        heading = heading_of(group)
        found += [_option_of(one, hints[one.name], first.get(one.name, ""), heading) for one in fields(group)]
    return found


def _option_of(one: Field[Any], hint: Any, summary: str, heading: str) -> inspect.Parameter:
    """Return a setting as an option of the command, under a heading of its help; not given, it is None."""
    kind, is_list = _plain_type(hint)
    names = [f"--{one.name.replace('_', '-')}", *([f"--{one.name}"] if "_" in one.name else [])]
    if kind is bool:
        positive, *others = names
        names = [f"{positive}/--no-{positive[2:]}", *others]
    default = "" if one.default in (MISSING, None, ()) else f" [{one.default}]"
    words, text = (*_SHORT.get(one.name, ()), *names), f"{summary}{default}"
    option = typer.Option(*words, help=text, show_default=False, rich_help_panel=heading)
    annotation = Annotated[(list[kind] if is_list else kind) | None, option]  # type: ignore[valid-type]
    return inspect.Parameter(one.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def _plain_type(hint: Any) -> tuple[type, bool]:
    """Return what a value of a setting is on a command line, and whether there may be several."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _plain_type(inner[0])
    if origin in (Union, UnionType):
        return _plain_type(next(one for one in inner if one is not NoneType))
    if origin is tuple:
        return _plain_type(inner[0])[0], True
    if origin is Literal or hint is Path:
        return str, False
    return hint, False


def _first_sentences(owner: type) -> dict[str, str]:
    """Return the first sentence of each attribute in the docstrings of a class and those that it is made from."""
    found: dict[str, str] = {}
    for one in reversed(owner.__mro__):
        attributes = inspect.cleandoc(one.__doc__ or "").partition("Attributes:")[2]
        entries = re.findall(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", attributes, flags=re.MULTILINE)
        found |= {name: re.split(r"(?<=\.)\s", " ".join(text.split()))[0].replace("``", "") for name, text in entries}
    return found
