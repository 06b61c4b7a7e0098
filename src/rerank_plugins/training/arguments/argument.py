"""One argument of another trainer: what it is here, or why it means nothing here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["EVERY", "Argument", "Effect", "Settings", "Task", "converted", "ignored", "refused", "same"]

Task = Literal["reranker", "embedder", "colbert"]

EVERY: tuple[Task, ...] = ("reranker", "embedder", "colbert")

Effect = Literal["same", "turned", "ignored", "refused"]
"""``same``: our setting, with the value as it is. ``turned``: with another value. ``ignored``: taken without effect,
which is said once. ``refused``: an error, unless the value is their default."""

Settings = Mapping[str, Any]
"""Our settings by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Argument:
    """One argument.

    Attributes:
        name: Their name for it.
        ours: Our settings, comma-separated if one becomes several; None if there is none.
        default: Their default.
        meaning: What it does there, in one sentence; for ``ignored`` and ``refused`` why it does nothing here.
        tasks: What it belongs to.
        effect: What becomes of it.
        turn: Makes our settings of a value, for ``turned``.
        is_everywhere: Whether every module of a task has it; the default of one that some lack says nothing about them.
    """

    name: str
    ours: str | None
    default: Any
    meaning: str
    tasks: tuple[Task, ...] = EVERY
    effect: Effect = "same"
    turn: Callable[[Any], Settings] | None = None
    is_everywhere: bool = True

    def settings(self, value: Any) -> Settings:
        """Return our settings for a value of theirs."""
        if self.turn is not None:
            return self.turn(value)
        return {} if self.ours is None else {self.ours: value}


def same(
    name: str, meaning: str, *, default: Any = None, ours: str | None = None, tasks: tuple[Task, ...] = EVERY
) -> Argument:
    """Return an argument that is a setting here, by its own name or another."""
    return Argument(name=name, ours=ours or name, default=default, meaning=meaning, tasks=tasks)


def converted(
    name: str,
    meaning: str,
    *,
    ours: str,
    turn: Callable[[Any], Settings],
    default: Any = None,
    tasks: tuple[Task, ...] = EVERY,
) -> Argument:
    """Return an argument whose value becomes another here."""
    return Argument(name=name, ours=ours, default=default, meaning=meaning, tasks=tasks, effect="turned", turn=turn)


def ignored(name: str, why: str, *, default: Any = None, tasks: tuple[Task, ...] = EVERY) -> Argument:
    """Return an argument that is taken without effect."""
    return Argument(name=name, ours=None, default=default, meaning=why, tasks=tasks, effect="ignored")


def refused(name: str, why: str, *, default: Any = None, tasks: tuple[Task, ...] = EVERY) -> Argument:
    """Return an argument that would change the result there and cannot here."""
    return Argument(name=name, ours=None, default=default, meaning=why, tasks=tasks, effect="refused")
