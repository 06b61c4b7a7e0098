"""``rerank-plugins label``: teacher's scores for training data."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rerank_plugins.cli.model_options import (
    CompressLayers,
    CompressRatio,
    CutoffLayers,
    Device,
    Dtype,
    LongDocumentsName,
    MaxLength,
    ModelOptions,
    Prompt,
)
from rerank_plugins.cli.rows_progress import rows_progress
from rerank_plugins.display.terminal import Screen
from rerank_plugins.errors import InvalidInputError

if TYPE_CHECKING:
    from rerank_plugins.training import LabelResult, LanguageModelTeacher
    from rerank_plugins.training.labelling import Teacher

__all__ = ["label"]


def label(
    data: Annotated[list[Path], typer.Argument(help="Training data in any format of: data formats.")],
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="JSON lines with pos_scores and neg_scores.")],
    model: Annotated[
        list[str] | None,
        typer.Option("--model", "-m", help="The teacher: hub id, folder, mini; repeat to average several. [mini]"),
    ] = None,
    preference: Annotated[
        str | None,
        typer.Option(help="Causal language model as teacher: how likely it finds the row's answer after each text."),
    ] = None,
    reduction: Annotated[str, typer.Option(help="Of log-probabilities of the answer: mean or sum.")] = "mean",
    template: Annotated[
        str | None, typer.Option(help="Its prompt, with {text}, {query}, and at the end {answer}.", show_default=False)
    ] = None,
    weight: Annotated[list[float] | None, typer.Option(help="Of each teacher, in their order; repeat.")] = None,
    standardise: Annotated[
        bool, typer.Option("--standardise", help="Mean 0 and spread 1 for each query, for cosines and the like.")
    ] = False,
    device: Device = None,
    dtype: Dtype = "auto",
    max_length: MaxLength = None,
    long_documents: LongDocumentsName = "truncate",
    prompt: Prompt = None,
    cutoff_layers: CutoffLayers = None,
    compress_ratio: CompressRatio = None,
    compress_layers: CompressLayers = None,
    batch_pairs: Annotated[int, typer.Option(min=1, help="Pairs scored and written together.")] = 512,
    format_name: Annotated[str | None, typer.Option("--format", metavar="NAME", help="Format of the data.")] = None,
    restart: Annotated[bool, typer.Option("--restart", help="Throw an earlier run's output away.")] = False,
) -> None:
    """Score every text of training data with a teacher; a run that was stopped goes on where it was.

    Raw scores of one teacher are written as they are, or standardised per query with --standardise; of several, the
    mean of standardised scores.
    OUTPUT.job.json says which model, layer, prompt and scale they are of.
    """
    from rerank_plugins.training import LabelSettings, label_records

    if preference is None and (template is not None or reduction != "mean"):
        msg = "--template and --reduction are of a language model: name it with --preference, or leave them out"
        raise InvalidInputError(msg)
    layers = {"cutoff_layers": cutoff_layers, "compress_ratio": compress_ratio, "compress_layers": compress_layers}
    names = model or ([] if preference else ["mini"])
    if not names:
        truncates = None if long_documents == "truncate" else long_documents
        _refuse_of_rerankers({"prompt": prompt, "long_documents": truncates, **layers})
    settings = LabelSettings(
        data=tuple(data),
        output=output,
        format_name=format_name,
        weights=tuple(weight) if weight else None,
        standardise=standardise,
        batch_pairs=batch_pairs,
        restart=restart,
    )
    with ExitStack() as stack:
        teachers: list[Teacher] = []
        for name in names:
            options = ModelOptions(
                model=name,
                device=device,
                dtype=dtype,
                max_length=max_length,
                long_documents=long_documents,
                prompt=prompt,
                layers=layers,
            )
            teachers.append(stack.enter_context(options.open()))
        if preference is not None:
            template_options = {"reduction": reduction, "template": template, "max_length": max_length}
            teachers.append(
                stack.enter_context(_language_model(preference, template_options, device=device, dtype=dtype))
            )
        with rows_progress() as on_row:
            result = label_records(settings, teachers, on_row=on_row)
    _show(result)


def _refuse_of_rerankers(options: Mapping[str, Any]) -> None:
    """Refuse options that would count for nothing: there is no reranker among the teachers."""
    given = [f"--{name.replace('_', '-')}" for name, value in options.items() if value is not None]
    if given:
        msg = f"{' and '.join(given)} is of a reranker: name it with --model, or leave it out beside --preference"
        raise InvalidInputError(msg)


def _language_model(name: str, options: Mapping[str, Any], *, device: str | None, dtype: str) -> LanguageModelTeacher:
    from rerank_plugins.cli.quiet import quiet_loading
    from rerank_plugins.training import LanguageModelTeacher, PreferenceSettings

    settings = PreferenceSettings(**{key: value for key, value in options.items() if value is not None})
    quiet_loading()
    return LanguageModelTeacher(name, settings=settings, device=device, dtype=dtype)


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
