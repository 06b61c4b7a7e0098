"""Commands and data sets of other distributions, found by entry points; and which extras are installed."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from importlib.metadata import EntryPoint, PackageNotFoundError, requires, version
from typing import TYPE_CHECKING, Any

import typer

from rerank_plugins.catalog.plugins import plugins_of
from rerank_plugins.errors import InvalidInputError, MissingExtraError

if TYPE_CHECKING:
    from rerank_plugins.evaluation import Dataset

__all__ = [
    "COMMANDS_GROUP",
    "DATASETS_GROUP",
    "DEMO",
    "add_commands",
    "dataset_of",
    "distributions_of_extras",
    "version_of",
]

COMMANDS_GROUP = "rerank_plugins.commands"
DATASETS_GROUP = "rerank_plugins.datasets"

DEMO = "demo"
"""The demonstration: an extra, a command and a data set of the same name."""

_OWN = "rerank-plugins"
_REQUIREMENT = re.compile(r"([\w.-]+)\s*(?:\[([\w, -]+)\])?[^;]*;.*extra\s*==\s*['\"]([\w-]+)['\"]")


def add_commands(app: typer.Typer) -> None:
    """Add the commands of other distributions. A missing demonstration is replaced by a message of what to install."""
    own = _names_of(app)
    found = dict(plugins_of(COMMANDS_GROUP, lambda point: _command(point, own)))
    for name, command in found.items():
        app.command(name)(command)
    if DEMO not in found:
        anything = {"ignore_unknown_options": True, "allow_extra_args": True}
        app.command(DEMO, context_settings=anything)(_no_demo)


def dataset_of(name: str) -> Dataset | None:
    """Return the data set that another distribution registered under a name; None if there is none.

    Raises:
        MissingExtraError: It is the demonstration's, which is not installed.
    """
    for _, read in plugins_of(DATASETS_GROUP, _named, name=name):
        dataset: Dataset = read()
        return dataset
    if name == DEMO:
        _no_demo()
    return None


def distributions_of_extras(lines: Sequence[str] | None = None) -> Mapping[str, Sequence[str]]:
    """Return the distributions that each extra installs, by the metadata of this package.

    Args:
        lines: Requirements, one each; None reads the installed metadata.
    """
    if lines is None:
        lines = _requirements()
    requirements_of: dict[str, list[str]] = {}
    for line in lines:
        matched = _REQUIREMENT.match(line)
        if matched is None:
            continue
        name, extras, extra = matched.groups()
        own = [f"+{one.strip()}" for one in (extras or "").split(",")] if name == _OWN else [name]
        requirements_of.setdefault(extra, []).extend(own)
    return {extra: list(dict.fromkeys(_resolved(extra, requirements_of))) for extra in requirements_of}


def version_of(distribution: str) -> str | None:
    """Return the version of a distribution; None if it is not installed."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def _requirements() -> list[str]:
    try:
        return requires(_OWN) or []
    except PackageNotFoundError:
        return []


def _resolved(extra: str, requirements_of: Mapping[str, Sequence[str]]) -> list[str]:
    names: list[str] = []
    for one in requirements_of.get(extra, ()):
        names += _resolved(one[1:], requirements_of) if one.startswith("+") else [one]
    return names


def _names_of(app: typer.Typer) -> set[str]:
    """Return the names of an application's commands and groups of commands."""
    commands = {one.name or str(getattr(one.callback, "__name__", "")) for one in app.registered_commands}
    groups = {str(one.typer_instance.info.name) for one in app.registered_groups if one.typer_instance is not None}
    return commands | groups


def _command(point: EntryPoint, own: Collection[str]) -> tuple[str, Callable[..., Any]]:
    """Return a command's name and function; raises for what would break or replace the commands of this package."""
    name, command = _named(point)
    if name in own:
        msg = f"rerank-plugins has a command {name!r} of its own"
        raise InvalidInputError(msg)
    if not callable(command):
        msg = f"a command must be a function, got {type(command).__name__}"
        raise InvalidInputError(msg)
    return name, command


def _named(point: EntryPoint) -> tuple[str, Callable[..., Any]]:
    return point.name, point.load()


def _no_demo() -> None:
    """See it work on real data, before and after; needs rerank-plugins[demo]."""
    msg = f'the demonstration and its data are a distribution of their own: pip install "{_OWN}[{DEMO}]"'
    raise MissingExtraError(msg)
