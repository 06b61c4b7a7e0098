"""Another trainer's arguments as settings of ours."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Literal

from rerank_plugins.errors import InvalidInputError, UnknownOptionError
from rerank_plugins.training.arguments import flagembedding, rag_retrieval, trainer
from rerank_plugins.training.arguments.argument import EVERY, Argument, Task

__all__ = ["Dialect", "Translation", "arguments_of", "parse_words", "translate_arguments"]

Dialect = Literal["flagembedding", "flagembedding-old", "rag-retrieval"]

_TABLES: Mapping[Dialect, tuple[Argument, ...]] = {
    "flagembedding": (*trainer.TRAINER, *trainer.DROPPED, *flagembedding.NEW),
    # Later entries win: what the older modules called otherwise.
    "flagembedding-old": (*trainer.TRAINER, *trainer.DROPPED, *flagembedding.NEW, *flagembedding.OLD),
    "rag-retrieval": rag_retrieval.RAG_RETRIEVAL,
}
_NAMES: Mapping[Dialect, str] = {
    "flagembedding": "FlagEmbedding",
    "flagembedding-old": "FlagEmbedding 1.1 and 1.2",
    "rag-retrieval": "RAG-Retrieval",
}
_TWICE_IN_EXAMPLES = ("model_type",)
"""What FlagEmbedding's own layerwise example gives twice; its parser takes the last one."""
_NOT_TAKEN = frozenset(
    {
        # What the checkpoint itself knows: there each model is pooled and asked as the default says.
        "colbert_dim",
        "mrl_dims",
        "model_name_or_path",
        "passage_instruction_for_rerank",
        "passage_instruction_for_retrieval",
        "query_instruction_for_rerank",
        "query_instruction_for_retrieval",
        "sentence_pooling_method",
        # What changes no weight.
        "logging_steps",
        "output_dir",
        "per_device_eval_batch_size",
        "report_to",
        "save_steps",
        "save_total_limit",
    }
)
"""Our settings that another trainer's default does not decide."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Translation:
    """Settings, and what was taken without effect.

    Attributes:
        settings: Ours, by name.
        defaults: The trainer's defaults as our settings, for what was not given and decides what is learnt. How the
            model pools, and what it reads in front of texts, is the checkpoint's own here.
        ignored: A sentence for each argument without effect here.
    """

    settings: Mapping[str, Any]
    defaults: Mapping[str, Any]
    ignored: tuple[str, ...]


def arguments_of(dialect: Dialect, task: Task) -> dict[str, Argument]:
    """Return the arguments of a trainer for a task, by name.

    Raises:
        InvalidInputError: There is no such trainer or task.
    """
    if dialect not in _TABLES or task not in EVERY:
        msg = f"trainers are {', '.join(_TABLES)}, tasks {', '.join(EVERY)}; got {dialect!r} and {task!r}"
        raise InvalidInputError(msg)
    return {one.name: one for one in _TABLES[dialect] if task in one.tasks}


def translate_arguments(
    given: Mapping[str, Any],
    *,
    known: Collection[str],
    dialect: Dialect = "flagembedding",
    task: Task = "reranker",
) -> Translation:
    """Return our settings for another trainer's arguments.

    Args:
        given: Their names (dashes count as underscores) and values, as a YAML file or :func:`parse_words` has them.
        known: The settings that the training has; the fields of its settings.
        dialect: Whose arguments they are.
        task: What is trained.

    Raises:
        UnknownOptionError: A name that the trainer does not have; the message names its neighbour.
        InvalidInputError: An argument would change the result there and cannot here, with the reason; or two give one
            setting two values.
    """
    table = arguments_of(dialect, task)
    settings: dict[str, Any] = {}
    messages: list[str] = []
    for name, value in given.items():
        one = table.get(name.replace("-", "_"))
        if one is None:
            raise UnknownOptionError(_unknown(name, table, dialect, task))
        _take(one, value, known=known, task=task, settings=settings, messages=messages)
    return Translation(settings=settings, defaults=_defaults(table.values(), settings, known), ignored=tuple(messages))


def _take(
    one: Argument, value: Any, *, known: Collection[str], task: Task, settings: dict[str, Any], messages: list[str]
) -> None:
    """Put an argument into the settings, or what it means into the messages."""
    if one.ours is None and value in (one.default, None):
        return
    if one.effect == "refused":
        msg = f"{one.name}={value!r} cannot be had here: {one.meaning}"
        raise InvalidInputError(msg)
    if one.ours is None:
        messages.append(f"{one.name} does nothing here: {one.meaning}")
        return
    for ours, setting in _settings_of(one, value).items():
        if ours not in known:
            _take_absent(one, value, ours=ours, task=task, messages=messages)
        elif ours in settings and settings[ours] != setting:
            msg = (
                f"{one.name}={value!r} and another argument give {ours} two values, {settings[ours]!r} and {setting!r}"
            )
            raise InvalidInputError(msg)
        else:
            settings[ours] = setting


def _settings_of(one: Argument, value: Any) -> Mapping[str, Any]:
    """Return our settings for a value of theirs, or raise InvalidInputError if nothing can be made of it."""
    if value is None and one.turn is not None:
        return {}  # not given
    try:
        return one.settings(value)
    except InvalidInputError:
        raise
    except (TypeError, ValueError) as error:
        msg = f"{one.name}={value!r} is no value for {one.meaning!r} ({error}); its default is {one.default!r}"
        raise InvalidInputError(msg) from error


def _take_absent(one: Argument, value: Any, *, ours: str, task: Task, messages: list[str]) -> None:
    if value:
        msg = f"{one.name}={value!r} ({one.meaning}) cannot be had: the training of a {task} has no setting {ours!r}"
        raise InvalidInputError(msg)
    messages.append(f"{one.name} is off, and there is nothing to switch off here")


def _defaults(table: Iterable[Argument], given: Collection[str], known: Collection[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for one in table:
        if one.ours is None or one.default is None or not one.is_everywhere:
            continue
        for ours, value in one.settings(one.default).items():
            if ours in known and ours not in given and ours not in _NOT_TAKEN:
                found.setdefault(ours, value)
    return found


def _unknown(name: str, table: Mapping[str, Argument], dialect: Dialect, task: Task) -> str:
    plain = name.replace("-", "_")
    start = f"{_NAMES[dialect]} has no argument {name!r} for a {task}"
    for other in EVERY:
        if plain in arguments_of(dialect, other):
            return f"{start}: it belongs to a training of {other}s"
    if plain in trainer.OTHERS:
        return f"{name!r} is an argument of transformers' Trainer that has no counterpart here; take it out"
    every = dict.fromkeys((*table, *(one for other in EVERY for one in arguments_of(dialect, other))))
    close = get_close_matches(plain, every, n=1, cutoff=0.6)
    return f"{start}; " + (f"did you mean {close[0]!r}?" if close else "nothing there is called like it: take it out")


def parse_words(words: Sequence[str]) -> dict[str, Any]:
    """Return the arguments of a command line such as theirs: ``--name value``, ``--name=value``, ``--name a b``.

    A name without a value is True, as HfArgumentParser has it. Numbers, ``True``, ``False`` and ``None`` are such.

    Raises:
        InvalidInputError: The first word is no name, or a name comes twice that nobody's example has twice.
    """
    found: dict[str, list[str]] = {}
    name: str | None = None
    for word in words:
        if word.startswith("--") and len(word) > 2:
            name, equals, value = word[2:].partition("=")
            if name in found and name not in _TWICE_IN_EXAMPLES:
                msg = f"--{name} is given twice"
                raise InvalidInputError(msg)
            found[name] = [value] if equals else []
        elif name is None:
            msg = f"arguments begin with --name, got {word!r}"
            raise InvalidInputError(msg)
        else:
            found[name].append(word)
    return {name: _value_of(values) for name, values in found.items()}


def _value_of(words: Sequence[str]) -> Any:
    values = [_plain(word) for word in words]
    if not values:
        return True
    return values[0] if len(values) == 1 else tuple(values)


def _plain(word: str) -> Any:
    named = {"true": True, "false": False, "none": None}
    if word.lower() in named:
        return named[word.lower()]
    for kind in (int, float):
        try:
            return kind(word)
        except ValueError:
            continue
    return word
