"""The commands of ``rerank-plugins train``, each made of its settings."""

from __future__ import annotations

import inspect
import logging
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from rerank_plugins.cli.log_lines import logged_to_stderr
from rerank_plugins.cli.training.command_line import CommandLine
from rerank_plugins.cli.training.options import options_of
from rerank_plugins.training.settings import RerankerTrainingSettings
from rerank_plugins.training.settings_colbert import ColbertTrainingSettings
from rerank_plugins.training.settings_flat import TrainingSettings
from rerank_plugins.training.settings_retrieval import EmbedderTrainingSettings

__all__ = ["train"]

_ANYTHING = {"ignore_unknown_options": True, "allow_extra_args": True}

train = typer.Typer(
    name="train",
    help="Fine-tune a model on your own data; it is measured before, during and after.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Command:
    """A command.

    Attributes:
        settings: What it is made of.
        summary: What it does; the first line is its own in the list of commands.
        rows: What its files hold.
    """

    settings: type[TrainingSettings]
    summary: str
    rows: str


_COMMANDS = (
    _Command(
        settings=RerankerTrainingSettings,
        summary="""Fine-tune a reranker (bge-reranker-*, bce, any one-label classifier, LLM rerankers, mini).

        Learns from queries with pos and neg. Writes a folder that opens in rerank-plugins, transformers and
        sentence-transformers, with a card of the dev measures before and after. Interrupted, it goes on with --resume.
        """,
        rows="JSON lines: query, pos, neg; files or folders.",
    ),
    _Command(
        settings=EmbedderTrainingSettings,
        summary="""Fine-tune an embedder (bge, bce, e5, bge-m3 and its heads, language models that embed).

        Learns from queries with pos and, if there are any, neg. Writes a folder that opens in rerank-plugins,
        transformers, sentence-transformers and FlagEmbedding, with a card of the dev measures before and after.
        Interrupted, it goes on with --resume.
        """,
        rows="JSON lines: query, pos, neg; files or folders.",
    ),
    _Command(
        settings=ColbertTrainingSettings,
        summary="""Fine-tune a ColBERT (late interaction), from an encoder or from a ColBERT of sentence-transformers 6.

        Learns from queries with pos and, if there are any, neg. Writes a folder that opens in sentence-transformers
        (MultiVectorEncoder), with a card of the dev measures before and after. Interrupted, it goes on with --resume.
        """,
        rows="JSON lines: query, pos, neg; files or folders.",
    ),
)


def _run(command_line: CommandLine, *, dry_run: bool) -> None:
    settings = command_line.settings()

    from rerank_plugins.cli.quiet import quiet_loading

    quiet_loading()
    from rerank_plugins.cli.training import showing

    if dry_run:
        from rerank_plugins.training.planning import plan_training

        showing.show_plan(plan_training(settings))
        return
    from rerank_plugins.training.course import run_training

    # Where there is no bar: figures of every logging_steps steps, and of each measurement.
    flat, levels = settings.flat(), {"rerank_plugins.training": logging.INFO}
    with nullcontext() if flat["progress"] else logged_to_stderr(levels):
        result = run_training(settings)
    if result is not None:
        showing.show_result(result, base=str(flat["model_name_or_path"]))


def _signature(one: _Command) -> inspect.Signature:
    """Return the signature of a command, made of its settings, for typer to read."""
    by_name = inspect.Parameter.KEYWORD_ONLY
    rows = Annotated[list[str] | None, typer.Argument(help=one.rows)]
    file = Annotated[Path | None, typer.Option("--config", "-c", help="YAML file of settings; options win.")]
    help_text = (
        "flagembedding, flagembedding-old or rag-retrieval: the settings file, and all words behind --, are theirs."
    )
    other = Annotated[str | None, typer.Option("--like", help=help_text)]
    dry = Annotated[
        bool, typer.Option("--dry-run", help="Only tell sizes, steps, time and memory, of three real steps.")
    ]
    return inspect.Signature(
        [
            inspect.Parameter("data", inspect.Parameter.POSITIONAL_OR_KEYWORD, default=None, annotation=rows),
            inspect.Parameter("config", by_name, default=None, annotation=file),
            inspect.Parameter("like", by_name, default=None, annotation=other),
            inspect.Parameter("dry_run", by_name, default=False, annotation=dry),
            *options_of(one.settings),
        ]
    )


def _function(one: _Command) -> Any:
    def command(
        data: list[str] | None, *, config: Path | None, like: str | None, dry_run: bool, **options: Any
    ) -> None:
        command_line = CommandLine(
            owner=one.settings, words=tuple(data or ()), config=config, like=like, options=options
        )
        _run(command_line, dry_run=dry_run)

    command.__doc__ = one.summary
    command.__signature__ = _signature(one)  # type: ignore[attr-defined]
    command.__annotations__ = {}
    return command


for _one in _COMMANDS:
    train.command(_one.settings.task, context_settings=_ANYTHING)(_function(_one))
