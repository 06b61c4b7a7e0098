"""``rerank-plugins label``: teacher's scores for training data."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rerank_plugins.cli.model_options import ModelOptions
from rerank_plugins.cli.option_groups import takes_groups
from rerank_plugins.cli.progress import rows_progress
from rerank_plugins.cli.row_options import RowOptions
from rerank_plugins.display.terminal import Screen
from rerank_plugins.errors import InvalidInputError

if TYPE_CHECKING:
    from rerank_plugins.training import LabelResult, LanguageModelTeacher
    from rerank_plugins.training.labelling import Teacher

__all__ = ["label"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _TeacherOptions:
    """Who scores, and what becomes of the scores."""

    model: Annotated[
        list[str] | None,
        typer.Option("--model", "-m", help="The teacher: hub id, folder, mini; repeat to average several. [mini]"),
    ] = None
    preference: Annotated[
        str | None,
        typer.Option(help="Causal language model as teacher: how likely it finds the row's answer after each text."),
    ] = None
    reduction: Annotated[str, typer.Option(help="Of log-probabilities of the answer: mean or sum.")] = "mean"
    template: Annotated[
        str | None, typer.Option(help="Its prompt, with {text}, {query}, and at the end {answer}.", show_default=False)
    ] = None
    weight: Annotated[list[float] | None, typer.Option(help="Of each teacher, in their order; repeat.")] = None
    standardise: Annotated[
        bool, typer.Option("--standardise", help="Mean 0 and spread 1 for each query, for cosines and the like.")
    ] = False

    @property
    def models(self) -> list[str]:
        """The rerankers among them."""
        return self.model or ([] if self.preference else ["mini"])


@dataclass(frozen=True, slots=True, kw_only=True)
class _RunOptions(RowOptions):
    """How the data are read, and the run goes on."""

    batch_pairs: Annotated[int, typer.Option(min=1, help="Pairs scored and written together.")] = 512


@takes_groups
def label(
    data: Annotated[list[Path], typer.Argument(help="Training data in any format of: data formats.")],
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="JSON lines with pos_scores and neg_scores.")],
    by: _TeacherOptions,
    options: ModelOptions,
    run: _RunOptions,
) -> None:
    """Score every text of training data with a teacher; a run that was stopped goes on where it was.

    Raw scores of one teacher are written as they are, or standardised per query with --standardise; of several, the
    mean of standardised scores.
    OUTPUT.job.json says which model, layer, prompt and scale they are of.
    """
    from rerank_plugins.training import LabelSettings, label_records

    _check(by, options)
    settings = LabelSettings(
        data=tuple(data),
        output=output,
        format_name=run.format_name,
        weights=tuple(by.weight) if by.weight else None,
        standardise=by.standardise,
        batch_pairs=run.batch_pairs,
        restart=run.restart,
    )
    with ExitStack() as stack:
        teachers: list[Teacher] = [stack.enter_context(options.open(name)) for name in by.models]
        if by.preference is not None:
            teachers.append(stack.enter_context(_language_model(by.preference, by, options)))
        with rows_progress() as on_row:
            result = label_records(settings, teachers, on_row=on_row)
    _show(result)


def _check(by: _TeacherOptions, options: ModelOptions) -> None:
    """Refuse options that would count for nothing."""
    if by.preference is None and (by.template is not None or by.reduction != "mean"):
        msg = "--template and --reduction are of a language model: name it with --preference, or leave them out"
        raise InvalidInputError(msg)
    if by.models:
        return
    truncates = None if options.long_documents == "truncate" else options.long_documents
    of_rerankers = {"prompt": options.prompt, "long_documents": truncates, **options.written_layers}
    given = [f"--{name.replace('_', '-')}" for name, value in of_rerankers.items() if value is not None]
    if given:
        msg = f"{' and '.join(given)} is of a reranker: name it with --model, or leave it out beside --preference"
        raise InvalidInputError(msg)


def _language_model(name: str, by: _TeacherOptions, options: ModelOptions) -> LanguageModelTeacher:
    from rerank_plugins.cli.quiet import quiet_loading
    from rerank_plugins.training import LanguageModelTeacher, PreferenceSettings

    own: dict[str, Any] = {"reduction": by.reduction, "template": by.template, "max_length": options.max_length}
    settings = PreferenceSettings(**{key: value for key, value in own.items() if value is not None})
    quiet_loading()
    return LanguageModelTeacher(name, settings=settings, device=options.device, dtype=options.dtype)


def _show(result: LabelResult) -> None:
    screen = Screen()
    before = f", {result.n_resumed} of them before" if result.n_resumed else ""
    screen.print(f"{result.n_rows} rows with {result.n_scores} scores{before}: {result.output}", soft_wrap=True)
    descriptions = {"standardised": "standardised per query", "log_likelihood": "log-likelihoods of the answers"}
    screen.print(f"the scores are {descriptions.get(result.scale, f'raw scores ({result.scale})')}", soft_wrap=True)
    if result.n_left:
        text = f"{result.n_left} rows got no scores and are not in it; the same command asks for them again"
        screen.print(text, style="yellow", soft_wrap=True)
    if result.n_replaced:
        screen.print(f"{result.n_replaced} scores that the data had before were replaced", style="yellow")
