"""``rerank-plugins train``: fine-tune a reranker, or see what that would take.

The options are the fields of the settings: name, type, default and first sentence of each are read off
:mod:`rerank_plugins.training.settings`, so that they stand in one place.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, fields
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import typer

from rerank_plugins.display.terminal import Screen
from rerank_plugins.errors import InvalidInputError, UnknownOptionError
from rerank_plugins.training.arguments import parse_words, translate_arguments
from rerank_plugins.training.names import TRAINED_TODAY, unknown_setting
from rerank_plugins.training.settings import GROUPS, RerankerTrainingSettings, reranker_settings
from rerank_plugins.training.settings_file import read_settings_file

if TYPE_CHECKING:
    from rerank_plugins.training.results import TrainingPlan, TrainingResult

__all__ = ["train"]

_ANYTHING = {"ignore_unknown_options": True, "allow_extra_args": True}
_SHORT = {"model_name_or_path": ("--model", "-m"), "output_dir": ("--output", "-o")}
_SETTINGS = tuple(one.name for owner in GROUPS.values() for one in fields(owner))

train = typer.Typer(
    name="train",
    help="Fine-tune a model on your own data; it is measured before, during and after.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """A command line.

    Attributes:
        words: What stands there without an option: files of training data, or with ``like`` another trainer's words.
        config: A settings file; None for none.
        like: Whose words and settings file they are; None for ours.
        options: Our settings by name; None or an empty list for what was not given.
    """

    words: tuple[str, ...]
    config: Path | None
    like: str | None
    options: Mapping[str, Any]

    def settings(self) -> RerankerTrainingSettings:
        """Return the settings; options win over the file.

        Raises:
            InvalidInputError: They cannot work.
        """
        flat = {} if self.config is None else read_settings_file(self.config)
        if self.like is not None:
            flat = _translated(self.like, {**flat, **parse_words(self.words)})
        elif self.words:
            flat["train_data"] = tuple(map(_file_name, self.words))
        flat |= {name: value for name, value in self.options.items() if value not in (None, [])}
        flat.setdefault("progress", sys.stderr.isatty())
        return reranker_settings(flat)


def _file_name(word: str) -> str:
    """Return a word that is no option, or say what an unknown option is here."""
    if word.startswith("-"):
        name = word.lstrip("-").partition("=")[0].replace("-", "_")
        raise UnknownOptionError(unknown_setting(name, _SETTINGS))
    if word.lower() in ("true", "false"):
        msg = f"a switch takes no value: write --bf16 or --no-bf16 instead of --bf16 {word} (in YAML, bf16: {word})"
        raise InvalidInputError(msg)
    return word


def _translated(like: str, theirs: Mapping[str, Any]) -> dict[str, Any]:
    """Return another trainer's arguments as our settings, and tell what was taken without effect."""
    found = translate_arguments(theirs, known=_SETTINGS, dialect=like)  # type: ignore[arg-type]
    screen = Screen(stderr=True)
    for sentence in found.told:
        screen.print(f"{like}: {sentence}", soft_wrap=True)
    return dict(found.settings)


def _run_reranker(asked: _Asked, *, dry_run: bool) -> None:
    settings = asked.settings()

    from rerank_plugins.cli.quiet import quiet_loading

    quiet_loading()
    if dry_run:
        _show_plan(settings)
        return
    from rerank_plugins.training import train_reranker

    result = train_reranker(settings)
    if result is not None:
        _show(result)


def _option_of(one: Field[Any], hint: Any, told: str) -> inspect.Parameter:
    """Return a setting as an option of the command; not given, it is None."""
    kind, is_list = _plain_type(hint)
    names = [f"--{one.name.replace('_', '-')}", *([f"--{one.name}"] if "_" in one.name else [])]
    if kind is bool:
        positive, *others = names
        names = [f"{positive}/--no-{positive[2:]}", *others]
    default = "" if one.default in (MISSING, None, ()) else f" [{one.default}]"
    option = typer.Option(*_SHORT.get(one.name, ()), *names, help=f"{told}{default}", show_default=False)
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
    """Return the first sentence of each attribute in a class's docstring."""
    attributes = (inspect.getdoc(owner) or "").partition("Attributes:")[2]
    entries = re.findall(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", attributes, flags=re.MULTILINE)
    return {name: re.split(r"(?<=\.)\s", " ".join(text.split()))[0].replace("``", "") for name, text in entries}


def _command() -> Any:
    """Return the command, with a signature made of the settings for typer to read."""

    def reranker(
        data: list[str] | None, *, config: Path | None, like: str | None, dry_run: bool, **options: Any
    ) -> None:
        """Fine-tune a cross-encoder (bge-reranker-*, bce, any one-label classifier, mini) on queries with pos and neg.

        Writes a folder that opens in rerank-plugins, transformers and sentence-transformers, with a card of the dev
        measures before and after. Interrupted, it goes on with --resume.
        """
        asked = _Asked(words=tuple(data or ()), config=config, like=like, options=options)
        _run_reranker(asked, dry_run=dry_run)

    by_name = inspect.Parameter.KEYWORD_ONLY
    rows = Annotated[list[str] | None, typer.Argument(help="JSON lines: query, pos, neg; files or folders.")]
    file = Annotated[Path | None, typer.Option("--config", "-c", help="YAML file of settings; options win.")]
    told = "flagembedding, flagembedding-old or rag-retrieval: the settings file, and all words behind --, are theirs."
    other = Annotated[str | None, typer.Option("--like", help=told)]
    dry = Annotated[
        bool, typer.Option("--dry-run", help="Only tell sizes, steps, time and memory, of three real steps.")
    ]
    parameters = [
        inspect.Parameter("data", inspect.Parameter.POSITIONAL_OR_KEYWORD, default=None, annotation=rows),
        inspect.Parameter("config", by_name, default=None, annotation=file),
        inspect.Parameter("like", by_name, default=None, annotation=other),
        inspect.Parameter("dry_run", by_name, default=False, annotation=dry),
    ]
    for owner in GROUPS.values():
        hints, first = get_type_hints(owner, include_extras=True), _first_sentences(owner)
        parameters += [_option_of(one, hints[one.name], first.get(one.name, "")) for one in fields(owner)]
    reranker.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    reranker.__annotations__ = {}
    return reranker


def _refuse(kind: str) -> Any:
    def refused() -> None:
        msg = f"rerank-plugins train {kind}: {TRAINED_TODAY}"
        raise InvalidInputError(msg)

    refused.__doc__ = "Not yet: cross-encoders are trained today."
    return refused


train.command("reranker", context_settings=_ANYTHING)(_command())
for _kind in ("embedder", "colbert"):
    train.command(_kind, context_settings=_ANYTHING)(_refuse(_kind))


def _show_plan(settings: RerankerTrainingSettings) -> None:
    from rerank_plugins.training.planning import plan_reranker_training

    screen = Screen()
    for line in _plan_lines(plan_reranker_training(settings)):
        screen.print(line, soft_wrap=True)


def _plan_lines(plan: TrainingPlan) -> list[str]:
    dev = f"{plan.n_dev_queries} queries, {plan.n_dev_pairs} pairs" if plan.n_dev_pairs else "none"
    mean, cut = f"{plan.mean_tokens:.0f} on average", f"{plan.share_cut:.1%} are cut"
    return [
        f"model        {plan.model} (family {plan.family}), {plan.n_parameters:,} weights in float32",
        f"rows         {plan.n_rows:,}, one group each in every epoch",
        f"dev set      {dev}, measured {plan.measurements} times",
        f"pairs        {plan.max_length} tokens at most; {mean}, {cut}",
        f"step         {plan.groups_per_step} groups, {plan.pairs_per_step} pairs",
        f"steps        {plan.steps:,} ({plan.steps_per_epoch:,} an epoch)",
        f"time         about {_duration(plan.seconds)} ({plan.seconds_per_step:.2f} s a step, of three real ones)",
        f"memory       {plan.peak_bytes / 1e9:.1f} GB at most in the three steps",
        "Nothing was kept.",
    ]


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _show(result: TrainingResult) -> None:
    from rich.table import Table

    from rerank_plugins.cli.output import table_console

    console = table_console()
    if result.changes:
        table = Table("measure", "before", "after", "difference", "p", "better", "worse")
        for one in result.changes:
            figures = (f"{one.before:.4f}", f"{one.after:.4f}", f"{one.comparison.difference:+.4f}")
            table.add_row(one.name, *figures, f"{one.comparison.p_value:.4f}", str(one.better), str(one.worse))
        console.print(table)
    kept = "the last one is kept" if result.best_step is None else f"step {result.best_step} is kept"
    console.print(f"{result.steps} steps in {_duration(result.seconds)}; {kept}.")
    console.print(f"Saved {result.folder}; look at {result.folder / 'README.md'}", soft_wrap=True)
