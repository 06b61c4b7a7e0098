"""Teacher's scores for every text of training data, from any reranker of the facade or the mean of several."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rerank_plugins.checks.arguments import checked_call, checked_fields
from rerank_plugins.checks.kinds import Count
from rerank_plugins.errors import InvalidInputError, ScoringError
from rerank_plugins.reranker import Reranker
from rerank_plugins.training.data.lines import data_files
from rerank_plugins.training.data.records import TrainingRecord
from rerank_plugins.training.labelled_rows import Labeller, n_texts, standardised
from rerank_plugins.training.row_job import RowJob, check_job_output
from rerank_plugins.training.row_source import PlacedRecord, RowSource, blocks, look_at_rows
from rerank_plugins.training.teachers import RerankerTeacher, RowTeacher, opened_reranker

__all__ = ["LabelResult", "LabelSettings", "label_records", "standardised"]


@checked_fields()
@dataclass(frozen=True, slots=True, kw_only=True)
class LabelSettings:
    """What is labelled, and where the rows with scores go.

    Attributes:
        data: Files of training data in any format that ``rerank-plugins data formats`` names.
        output: JSON lines in this project's schema, with ``pos_scores`` and ``neg_scores``; not compressed. What was
            asked, and how far it got, is in ``NAME.job.json`` beside it, and stays there: it says what the scores are.
        format_name: Format of the data; None tells it from its rows.
        weights: Of several teachers, in their order; None weighs all the same.
        standardise: Whether the scores of a query get mean 0 and standard deviation 1 also where there is one teacher:
            cosines and other numbers that lie close together would teach nothing, since a softmax over them is flat.
        batch_pairs: Pairs that are scored and written together: what a killed run loses at most.
        restart: Whether an earlier run's output is thrown away; without it that run goes on.
    """

    data: tuple[str | Path, ...]
    output: str | Path
    format_name: str | None = None
    weights: tuple[float, ...] | None = None
    standardise: bool = False
    batch_pairs: Count = 512
    restart: bool = False

    def __post_init__(self) -> None:
        if not self.data:
            msg = "data names no file; give at least one"
            raise InvalidInputError(msg)


_MOST_IN_A_ROW = 20
"""Rows without scores, one behind the other, after which a run ends: the chat model is not there, or never answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelResult:
    """What was labelled.

    Attributes:
        output: The file.
        n_rows: Rows in it.
        n_resumed: Rows that an earlier run had written.
        n_left: Rows that are not in it, because a chat model's call failed or its answer could not be read. The same
            settings ask for them again.
        n_scores: Scores that were written, by all runs.
        n_replaced: Scores that rows had before and that the new ones replace.
        scale: What the scores are: ``logit``, ``probability`` or ``tanh`` of a reranker, ``log_likelihood`` of a
            language model, ``standardised`` for the mean of several teachers and where that was asked for.
    """

    output: Path
    n_rows: int
    n_resumed: int
    n_left: int
    n_scores: int
    n_replaced: int
    scale: str


_OnRow = Callable[[int, int], object]

Teacher = Reranker | RowTeacher | str | Path
"""A reranker, its name, or what else scores rows: a language model by its preference."""


@checked_call(unchecked=("teachers",))
def label_records(
    settings: LabelSettings,
    teachers: Teacher | Sequence[Teacher] = "mini",
    *,
    on_row: Callable[[int, int], object] | None = None,
) -> LabelResult:
    """Write training data with a teacher's scores, in flat memory; a killed run goes on where it was.

    One teacher's raw scores are written as they are, unless ``standardise`` is set. Of several, the scores of a query's
    texts are standardised for each (mean 0, standard deviation 1 over the texts of the row; equal scores become 0), and
    then averaged: scores of models on different scales count alike.

    A row of which a chat model gives a text no score (its call failed, its answer could not be read) is left out, and
    tried once more at the end of this run and of each later one; it then stands behind the others.

    Args:
        settings: What is read and written.
        teachers: One or several: rerankers or names of them (an LLM reranker with its layer and prompt is one, too), or
            a :class:`~rerank_plugins.training.preference.LanguageModelTeacher`.
        on_row: Called with the numbers of finished and of all rows, for a progress bar.

    Raises:
        InvalidInputError: A row is none, has a blank text, or lacks what a teacher needs; the output is somebody
            else's, or was begun with other data or options. Nothing was computed then.
        ScoringError: A teacher gave NaN or failed, and the message names the row; or a chat model gave no scores for
            20 rows in a row. The rows before are kept.
    """
    listed = [teachers] if isinstance(teachers, (Reranker, RowTeacher, str, Path)) else list(teachers)
    _check_weights(len(listed), settings.weights)
    output = Path(settings.output)
    check_job_output(output, [*map(Path, settings.data), *data_files(list(settings.data))], restart=settings.restart)
    with ExitStack() as stack:
        # What is open already says what it needs; what is named is opened only after the data was looked at.
        needs = [one.problem for one in listed if isinstance(one, RowTeacher)]
        source = look_at_rows(settings.data, format_name=settings.format_name, problem=_first_problem(needs))
        opened = [_opened(one, stack) for one in listed]
        scale = opened[0].scale if len(opened) == 1 and not settings.standardise else "standardised"
        job_settings: dict[str, Any] = {"command": "label", "rows": source.digest, "weights": settings.weights}
        job_settings |= {"teachers": [one.facts() for one in opened], "scale": scale}
        job = stack.enter_context(RowJob(output, job_settings, restart=settings.restart))
        labeller = Labeller(teachers=opened, weights=settings.weights, standardise=settings.standardise)
        tell = on_row or _nothing
        _label_rows(job, source, labeller, most=settings.batch_pairs, tell=tell)
        _label_left(job, source, labeller, tell=tell)
        if not job.left:
            job.finish()
        return LabelResult(
            output=output,
            n_rows=job.n_done,
            n_resumed=job.n_found,
            n_left=len(job.left),
            n_scores=job.counts["scores"],
            n_replaced=job.counts["replaced"],
            scale=scale,
        )


def _label_rows(job: RowJob, source: RowSource, labeller: Labeller, *, most: int, tell: _OnRow) -> None:
    """Score the rows that no run has come to yet."""
    for block in blocks(source.records(start=job.n_read), most=most, size=n_texts):
        _label_block(job, block, labeller)
        tell(job.n_read, source.n_rows)
        n_left = _left_at_the_end(job)
        if n_left >= _MOST_IN_A_ROW:
            msg = (
                f"{block[-1].where}: none of the last {n_left} rows got its scores, because calls of the chat model "
                f"failed or its answers could not be read; {job.n_done} rows are in {str(job.output)!r}. The same "
                "command goes on behind them, and asks for those again"
            )
            raise ScoringError(msg)


def _left_at_the_end(job: RowJob) -> int:
    """Return how many of the last rows were left, one behind the other."""
    n_left, last = len(job.left), job.n_read - 1
    return next((back for back in range(n_left) if job.left[n_left - 1 - back] != last - back), n_left)


def _label_left(job: RowJob, source: RowSource, labeller: Labeller, *, tell: _OnRow) -> None:
    """Score the rows that were left, one by one."""
    wanted = set(job.left)
    for placed in source.records(start=min(wanted, default=source.n_rows)):
        if placed.number in wanted:
            wanted.remove(placed.number)
            try:
                ((line, counts),) = labeller([placed])
            except ScoringError as error:
                raise _failed(job, placed, error) from error
            if line is not None:
                job.settle(placed.number, line, counts)
                tell(job.n_read, source.n_rows)
        if not wanted:
            return


def _label_block(job: RowJob, block: Sequence[PlacedRecord], labeller: Labeller) -> None:
    try:
        made = labeller(block)
    except ScoringError as error:
        if len(block) == 1:
            raise _failed(job, block[0], error) from error
        # One by one, so that the row is named and the ones before it are kept.
        for one in block:
            _label_block(job, [one], labeller)
        return
    counts = sum((one for _, one in made), Counter[str]())
    left = [placed.number for placed, (line, _) in zip(block, made, strict=True) if line is None]
    job.append([line for line, _ in made if line is not None], {"scores": 0, "replaced": 0, **counts}, left=left)


def _failed(job: RowJob, placed: PlacedRecord, error: ScoringError) -> ScoringError:
    return ScoringError(f"{placed.where}: {error}; the {job.n_done} rows before are in {str(job.output)!r}")


def _nothing(_done: int, _total: int) -> None:
    """Show no progress."""


def _no_texts(record: TrainingRecord) -> str | None:
    return None if n_texts(record) else "there is no text to score; take the row out, or mine negatives first"


def _first_problem(needs: Sequence[Callable[[TrainingRecord], str | None]]) -> Callable[[TrainingRecord], str | None]:
    def problem(record: TrainingRecord) -> str | None:
        return next((found for need in (_no_texts, *needs) if (found := need(record)) is not None), None)

    return problem


def _check_weights(n_teachers: int, weights: tuple[float, ...] | None) -> None:
    if not n_teachers:
        msg = "there is no teacher; name at least one reranker"
        raise InvalidInputError(msg)
    if weights is None:
        return
    if len(weights) != n_teachers or n_teachers == 1:
        msg = f"weights={weights} must name one weight for each of several teachers, and there are {n_teachers}"
        raise InvalidInputError(msg)
    if not all(0 <= one < float("inf") for one in weights) or not sum(weights):
        msg = f"weights={weights} must be numbers of 0 or more, and one of them more than 0"
        raise InvalidInputError(msg)


def _opened(teacher: Teacher, stack: ExitStack) -> RowTeacher:
    if isinstance(teacher, RowTeacher):
        return teacher
    reranker, is_ours = opened_reranker(teacher)
    if is_ours:
        stack.callback(reranker.close)
    return RerankerTeacher(reranker)
