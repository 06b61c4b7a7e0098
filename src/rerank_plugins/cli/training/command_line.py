"""A command line of a training: files, a settings file, options, or another trainer's words."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from rerank_plugins.cli.training.options import own_defaults, setting_names
from rerank_plugins.display.terminal import Screen
from rerank_plugins.errors import InvalidInputError, UnknownOptionError
from rerank_plugins.training.arguments import parse_words, translate_arguments
from rerank_plugins.training.names import unknown_setting
from rerank_plugins.training.settings_file import read_settings_file
from rerank_plugins.training.settings_flat import TrainingSettings, settings_of

__all__ = ["CommandLine"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandLine:
    """A command line.

    Attributes:
        owner: The class of the training's settings.
        words: What stands there without an option: files of training data, or with ``like`` another trainer's words.
        config: A settings file; None for none.
        like: Whose words and settings file they are; None for ours.
        options: Our settings by name; None or an empty list for what was not given.
    """

    owner: type[TrainingSettings]
    words: tuple[str, ...]
    config: Path | None
    like: str | None
    options: Mapping[str, Any]

    def settings(self) -> TrainingSettings:
        """Return the settings; options win over the file.

        Raises:
            InvalidInputError: They cannot work.
        """
        flat = {} if self.config is None else read_settings_file(self.config)
        defaults: Mapping[str, Any] = {}
        if self.like is not None:
            flat, defaults = _translated(self.owner, self.like, {**flat, **parse_words(self.words)})
        elif self.words:
            flat["train_data"] = tuple(_file_name(self.owner, word) for word in self.words)
        flat |= {name: value for name, value in self.options.items() if value not in (None, [])}
        # A process may be started without one.
        err: TextIO | None = sys.stderr
        flat.setdefault("progress", err is not None and err.isatty())
        taken = {name: value for name, value in defaults.items() if name not in flat}
        made = settings_of(self.owner, {**taken, **flat})
        if self.like is not None:
            _tell_defaults(self.like, taken, own_defaults(self.owner))
        return made


def _file_name(owner: type[TrainingSettings], word: str) -> str:
    """Return a word that is no option, or say what an unknown option is here."""
    if word.startswith("-"):
        name = word.lstrip("-").partition("=")[0].replace("-", "_")
        raise UnknownOptionError(unknown_setting(name, setting_names(owner), task=owner.task))
    if word.lower() in ("true", "false"):
        msg = f"a switch takes no value: write --bf16 or --no-bf16 instead of --bf16 {word} (in YAML, bf16: {word})"
        raise InvalidInputError(msg)
    return word


def _translated(
    owner: type[TrainingSettings], like: str, theirs: Mapping[str, Any]
) -> tuple[dict[str, Any], Mapping[str, Any]]:
    """Return another trainer's arguments as our settings, and its defaults; tell what was taken without effect."""
    found = translate_arguments(theirs, known=setting_names(owner), dialect=like, task=owner.task)  # type: ignore[arg-type]
    screen = Screen(stderr=True)
    for sentence in found.ignored:
        screen.print(f"{like}: {sentence}", soft_wrap=True)
    return dict(found.settings), found.defaults


def _tell_defaults(like: str, taken: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    """Tell which defaults of another trainer are taken where this package has another one."""
    others = [
        f"{name} {value!r} ({_shown(own[name])} by default here)"
        for name, value in sorted(taken.items())
        if own[name] != value
    ]
    if others:
        Screen(stderr=True).print(f"{like}: not given, taken from there: {', '.join(others)}", soft_wrap=True)


def _shown(value: Any) -> str:
    return "the model's own" if value is None else repr(value)
