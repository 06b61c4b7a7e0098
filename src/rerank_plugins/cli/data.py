"""``rerank-plugins data``: training data checked before anything is trained on them, and put into other formats."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.table import Table

from rerank_plugins.cli.option_groups import takes_groups
from rerank_plugins.cli.output import can_print_any
from rerank_plugins.cli.progress import rows_progress
from rerank_plugins.display.terminal import Screen, json_text
from rerank_plugins.errors import InvalidInputError

if TYPE_CHECKING:
    from rerank_plugins.training.data import CheckOptions, Conversion, DataReport, ReadOptions, WriteOptions

__all__ = ["data"]

data = typer.Typer(name="data", help="Check and convert training data.", no_args_is_help=True)

_MANY = 1_000
_ERRORS = 2

Sources = Annotated[
    list[Path],
    typer.Argument(
        help="JSON lines (also .gz), folders of them, BEIR folders, or LlamaIndex .json.", show_default=False
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class _ReadOptions:
    """How the data are read."""

    format_name: Annotated[
        str | None,
        typer.Option("--format", metavar="NAME", help="Format of the data; by default detected from the rows."),
    ] = None
    label_key: Annotated[
        str | None,
        typer.Option(metavar="KEY", help="Of RAG-Retrieval's labels. [label, else score]", show_default=False),
    ] = None
    positive_from: Annotated[float, typer.Option(help="The least label of a positive.")] = 0.5
    keep_labels: Annotated[
        bool | None,
        typer.Option(
            "--keep-labels/--no-keep-labels", help="Labels become scores. [for RAG-Retrieval's reranker rows]"
        ),
    ] = None
    split: Annotated[str | None, typer.Option(help="Which judgements of BEIR folders.")] = None
    regroup: Annotated[
        bool, typer.Option("--regroup", help="Put all rows of a query together, by way of the disk.")
    ] = False
    tokenizer: Annotated[
        str | None, typer.Option("--tokenizer", metavar="MODEL", help="Made the token ids of luyug/Reranker's rows.")
    ] = None

    def options(self) -> ReadOptions:
        """Return them as the reader takes them, without the format."""
        from rerank_plugins.training.data import ReadOptions

        return ReadOptions(
            tokenizer=self.tokenizer,
            label_key=self.label_key,
            positive_from=self.positive_from,
            keep_labels=self.keep_labels,
            split=self.split,
            regroup=self.regroup,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _CheckOptions:
    """What the data are for."""

    task: Annotated[str, typer.Option("--for", metavar="TASK", help="reranker, embedder or colbert.")] = "reranker"
    group_size: Annotated[int, typer.Option(min=2, help="Texts of a query in a step (train_group_size).")] = 8
    needs_scores: Annotated[bool, typer.Option("--needs-scores", help="Every text needs a teacher's score.")] = False
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Whose tokens are counted: mini, a folder, a hub id.")
    ] = None
    max_length: Annotated[int | None, typer.Option(min=1, help="Tokens of a pair. [512]", show_default=False)] = None
    query_max_length: Annotated[int | None, typer.Option(min=1, help="Tokens of a query.")] = None
    passage_max_length: Annotated[int | None, typer.Option(min=1, help="Tokens of a text.")] = None
    allow: Annotated[list[str] | None, typer.Option(metavar="KIND", help="An error that only warns; repeat.")] = None

    def options(self) -> CheckOptions:
        """Return them as the check takes them."""
        from rerank_plugins.training.data import CheckOptions

        return CheckOptions(
            task=self.task,  # type: ignore[arg-type]
            group_size=self.group_size,
            needs_scores=self.needs_scores,
            tokenizer=self.model,
            max_length=self.max_length,
            query_max_length=self.query_max_length,
            passage_max_length=self.passage_max_length,
            allow=tuple(self.allow or ()),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _WriteOptions:
    """What is written."""

    to: Annotated[str, typer.Option(metavar="NAME", help="Format that is written; see data formats.")] = "records"
    to_split: Annotated[
        str | None, typer.Option(help="Name of the judgements that beir gets. [train]", show_default=False)
    ] = None
    to_tokenizer: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Makes the token ids that luyug gets: mini, a folder, a hub id.")
    ] = None
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an output that is there.")] = False

    def options(self, *, tokenizer: str | None) -> WriteOptions:
        """Return them as the writer takes them; raises InvalidInputError for one that another format has.

        Args:
            tokenizer: What made the token ids that are read, if any did.
        """
        from rerank_plugins.training.data import WriteOptions

        for option, value, owner in (
            ("--to-split", self.to_split, "beir"),
            ("--to-tokenizer", self.to_tokenizer, "luyug"),
        ):
            if value is not None and self.to != owner:
                msg = f"{option} is of the format {owner}, and --to is {self.to}: leave it out"
                raise InvalidInputError(msg)
        return WriteOptions(
            format_name=self.to,
            tokenizer=self.to_tokenizer or tokenizer,
            split=self.to_split or "train",
            overwrite=self.overwrite,
        )


@data.command()
@takes_groups
def check(
    sources: Sources,
    *,
    dev: Annotated[list[Path] | None, typer.Option(help="The dev set: what stands in both is found; repeat.")] = None,
    use: _CheckOptions,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    read: _ReadOptions,
) -> None:
    """Look for what spoils a training: one pass, flat memory. Exit status 2 if there are errors."""
    from rerank_plugins.training.data import check_data

    with _rows_counted() as on_row:
        report = check_data(
            sources,
            dev=dev or None,
            format_name=read.format_name,
            options=use.options(),
            read_options=read.options(),
            on_row=on_row,
        )
    if as_json:
        typer.echo(json_text(report.to_mapping(), only_ascii=not can_print_any(Screen()), indent=2))
    else:
        _show_report(report)
    if report.errors:
        raise typer.Exit(_ERRORS)


@data.command()
@takes_groups
def convert(
    sources: Sources,
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="File (compressed if .gz); for beir a folder.")],
    write: _WriteOptions,
    read: _ReadOptions,
) -> None:
    """Write training data in another format; what it cannot hold is listed. The output is complete or absent."""
    from rerank_plugins.training.data import convert_data

    write_options = write.options(tokenizer=read.tokenizer)
    with _rows_counted() as on_row:
        done = convert_data(
            sources,
            output,
            format_name=read.format_name,
            read_options=read.options(),
            write_options=write_options,
            on_row=on_row,
        )
    _show_conversion(done)


@data.command()
def formats() -> None:
    """List the formats that are read and written."""
    from rerank_plugins.training.data.detection import format_titles

    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("format", no_wrap=True)
    table.add_column("what a row looks like")
    for name, title in format_titles().items():
        table.add_row(name, title)
    Screen().print(table)


@contextmanager
def _rows_counted() -> Iterator[Callable[[], None]]:
    """Yield what counts a row; the count is shown now and then."""
    counted = itertools.count(1)
    with rows_progress() as on_row:

        def advance() -> None:
            n_rows = next(counted)
            if n_rows % _MANY == 0:
                on_row(n_rows, None)

        yield advance


def _show_report(report: DataReport) -> None:
    screen = Screen()
    for path, name in report.formats.items():
        screen.print(f"{path}: {name}", soft_wrap=True)
    n_records = max(report.n_records, 1)
    screen.print(
        f"{report.n_records} queries, {report.n_positives} positives ({report.n_positives / n_records:.1f} each), "
        f"{report.n_negatives} negatives ({report.n_negatives / n_records:.1f} each, at least "
        f"{report.fewest_negatives}), {report.n_scored} with scores"
        + ("" if report.n_dev is None else f"; dev set of {report.n_dev}"),
        soft_wrap=True,
    )
    screen.print(
        f"queries are {_shares(report.query_scripts)}; positives {_shares(report.positive_scripts)}; "
        f"{report.other_script:.1%} of the positives in another script than their query",
        soft_wrap=True,
    )
    if report.lengths is not None:
        limits = {"pair": report.lengths.pair, "query": report.lengths.query, "text": report.lengths.passage}
        at = ", ".join(f"{name} {limit}" for name, limit in limits.items() if limit is not None)
        screen.print(
            f"at {at} tokens ({report.lengths.n_rows} rows measured): {report.lengths.cut_positives:.1%} of the "
            f"positives, {report.lengths.cut_negatives:.1%} of the negatives and {report.lengths.cut_queries:.1%} of "
            f"the queries are cut; {report.lengths.lost_positive_tokens:.1%} of the positives' tokens are lost",
            soft_wrap=True,
        )
    _show_findings(screen, report)


def _show_findings(screen: Screen, report: DataReport) -> None:
    for one in report.findings:
        style = "bold red" if one.severity == "error" else "yellow"
        screen.print(f"{one.severity}: {one.count} {one.sentence} [{one.kind}]", style=style, soft_wrap=True)
        for example in one.examples:
            screen.print(f"    {example}", soft_wrap=True)
    _show_counts(screen, "not read", report.notes)
    if not report.findings:
        screen.print("nothing found that would spoil a training", style="green")
    elif report.errors:
        screen.print("errors stop a training; --allow KIND makes one a warning", soft_wrap=True)


def _show_conversion(done: Conversion) -> None:
    screen = Screen()
    for path, name in done.formats.items():
        screen.print(f"{path}: {name}", soft_wrap=True)
    written = done.written
    screen.print(
        f"{written.n_records} queries written as {written.n_rows} rows of {written.format_name}: {written.output}",
        soft_wrap=True,
    )
    _show_counts(screen, "not read", done.not_read)
    _show_counts(screen, f"{written.format_name} does not hold", written.lost)


def _show_counts(screen: Screen, what: str, counts: Mapping[str, int]) -> None:
    for name, count in counts.items():
        screen.print(f"{what}: {name} ({count})", style="yellow", soft_wrap=True)


def _shares(shares: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {share:.0%}" for name, share in shares.items()) or "none"
