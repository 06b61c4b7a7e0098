"""Settings as one flat mapping of names to values, as a YAML file or a command line has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field, fields
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar, get_type_hints

from rerank_plugins.errors import InvalidInputError, UnknownOptionError
from rerank_plugins.training.arguments import Task
from rerank_plugins.training.names import unknown_setting

__all__ = ["TrainingSettings", "flat_settings", "groups_of", "settings_of"]


class TrainingSettings(Protocol):
    """The settings of a training: a frozen dataclass of groups, which are frozen dataclasses."""

    task: ClassVar[Task]

    def flat(self) -> dict[str, Any]:
        """Return all settings by name, as plain values for JSON and YAML."""


_Settings = TypeVar("_Settings", bound=TrainingSettings)


def groups_of(owner: type[TrainingSettings]) -> dict[str, type]:
    """Return the groups of a class of settings, by its own names for them."""
    hints = get_type_hints(owner)
    return {one.name: hints[one.name] for one in fields(owner)}  # type: ignore[arg-type]


def flat_settings(settings: TrainingSettings) -> dict[str, Any]:
    """Return all settings by name, as plain values for JSON and YAML."""
    groups = [getattr(settings, one.name) for one in fields(settings)]  # type: ignore[arg-type]
    return {one.name: _plain(getattr(group, one.name)) for group in groups for one in fields(group)}


def settings_of(owner: type[_Settings], flat: Mapping[str, Any]) -> _Settings:
    """Return the settings that a flat mapping names.

    Args:
        owner: Their class.
        flat: Name to value. What is None counts as not given, unless None is a choice beside another default
            (``early_stopping_patience``); dashes in a name count as underscores.

    Raises:
        UnknownOptionError: There is no such setting; the message says what does the same here, or names its neighbour.
        InvalidInputError: A value cannot work, or one that has no default is missing.
    """
    owners = groups_of(owner)
    homes = {one.name: (group, one) for group, kind in owners.items() for one in fields(kind)}
    given = {name.replace("-", "_"): value for name, value in flat.items()}
    values = {name: value for name, value in given.items() if value is not None or _chooses_none(homes.get(name))}
    for name in values:
        if name not in homes:
            raise UnknownOptionError(unknown_setting(name, homes, task=owner.task))
    groups: dict[str, dict[str, Any]] = {group: {} for group in owners}
    for name, value in values.items():
        several = str(homes[name][1].type).startswith("tuple[") and isinstance(value, (str, Path))
        groups[homes[name][0]][name] = (value,) if several else value
    for name in ("train_data", "output_dir"):
        if name not in values:
            msg = f"{name} is missing; a training needs train_data and output_dir"
            raise InvalidInputError(msg)
    return owner(**{group: kind(**groups[group]) for group, kind in owners.items()})


def _chooses_none(home: tuple[str, Field[Any]] | None) -> bool:
    """Return whether None is a value of a setting and not its default."""
    return home is not None and home[1].default is not None and str(home[1].type).endswith("| None")


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return str(value) if isinstance(value, Path) else value
