"""Teacher's scores for every text of training data, from any reranker of the facade or the mean of several."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rerank_plugins.checks.arguments import checked_call, checked_fields
from rerank_plugins.checks.kinds import Count
from rerank_plugins.errors import InvalidInputError, ScoringError
from rerank_plugins.reranker import Reranker
from rerank_plugins.training.data.lines import data_files, json_line
from rerank_plugins.training.data.records import TrainingRecord
from rerank_plugins.training.row_job import RowJob, check_job_output
from rerank_plugins.training.row_source import PlacedRecord, blocks, look_at_rows
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


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelResult:
    """What was labelled.

    Attributes:
        output: The file.
        n_rows: Rows in it.
        n_resumed: Rows that an earlier run had written.
        n_scores: Scores that were written, by all runs.
        n_replaced: Scores that rows had before and that the new ones replace.
        scale: What the scores are: ``logit``, ``probability`` or ``tanh`` of a reranker, ``log_likelihood`` of a
            language model, ``standardised`` for the mean of several teachers and where that was asked for.
    """

    output: Path
    n_rows: int
    n_resumed: int
    n_scores: int
    n_replaced: int
    scale: str


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

    Args:
        settings: What is read and written.
        teachers: One or several: rerankers or names of them (an LLM reranker with its layer and prompt is one, too), or
            a :class:`~rerank_plugins.training.preference.LanguageModelTeacher`.
        on_row: Called with the numbers of finished and of all rows, for a progress bar.

    Raises:
        InvalidInputError: A row is none, has a blank text, or lacks what a teacher needs; the output is somebody
            else's, or was begun with other data or options. Nothing was computed then.
        ScoringError: A teacher gave NaN or failed; the message names the row. The rows before it are kept.
    """
    listed = [teachers] if isinstance(teachers, (Reranker, RowTeacher, str, Path)) else list(teachers)
    _check_weights(len(listed), settings.weights)
    output = Path(settings.output)
    check_job_output(output, data_files(list(settings.data)), restart=settings.restart)
    with ExitStack() as stack:
        # What is open already says what it needs; what is named is opened only after the data was looked at.
        needs = [one.problem for one in listed if isinstance(one, RowTeacher)]
        source = look_at_rows(settings.data, format_name=settings.format_name, problem=_first_problem(needs))
        opened = [_opened(one, stack) for one in listed]
        scale = opened[0].scale if len(opened) == 1 and not settings.standardise else "standardised"
        job_settings: dict[str, Any] = {"command": "label", "rows": source.digest, "weights": settings.weights}
        job_settings |= {"teachers": [one.facts() for one in opened], "scale": scale}
        job = stack.enter_context(RowJob(output, job_settings, restart=settings.restart))
        for block in blocks(source.records(start=job.n_done), most=settings.batch_pairs, size=_n_texts):
            _label_block(job, block, opened, settings)
            if on_row is not None:
                on_row(job.n_done, source.n_rows)
        job.finish()
        return LabelResult(
            output=output,
            n_rows=job.n_done,
            n_resumed=job.n_found,
            n_scores=job.counts["scores"],
            n_replaced=job.counts["replaced"],
            scale=scale,
        )


def standardised(scores: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return scores with mean 0 and standard deviation 1; zeros where all are equal.

    Args:
        scores: One query's. Shape: (texts,).
    """
    spread = scores.std()
    # What differs by rounding only is equal.
    is_flat = spread <= 1e-9 * max(1.0, float(np.abs(scores).max()))
    return np.zeros_like(scores) if is_flat else (scores - scores.mean()) / spread


def _label_block(
    job: RowJob, block: Sequence[PlacedRecord], teachers: Sequence[RowTeacher], settings: LabelSettings
) -> None:
    try:
        scores = np.array([teacher.scores(block) for teacher in teachers])
    except ScoringError as error:
        if len(block) == 1:
            msg = f"{block[0].where}: {error}; the {job.n_done} rows before are in {str(job.output)!r}"
            raise ScoringError(msg) from error
        # One by one, so that the row is named and the ones before it are kept.
        for one in block:
            _label_block(job, [one], teachers, settings)
        return
    lines, start, n_replaced = list[bytes](), 0, 0
    for one in block:
        end = start + _n_texts(one.record)
        made = _combined(scores[:, start:end], settings)
        n_replaced += len(one.record.pos_scores or ()) + len(one.record.neg_scores or ())
        lines.append(json_line(_with_scores(one.record, made).to_mapping()))
        start = end
    job.append(lines, {"scores": start, "replaced": n_replaced})


def _combined(scores: npt.NDArray[np.float64], settings: LabelSettings) -> list[float]:
    """Return one score a text. Shape of ``scores``: (teachers, texts)."""
    if len(scores) == 1 and not settings.standardise:
        return [float(one) for one in scores[0]]
    mean = np.average([standardised(one) for one in scores], axis=0, weights=settings.weights)
    return [float(one) for one in mean]


def _with_scores(record: TrainingRecord, scores: Sequence[float]) -> TrainingRecord:
    cut = len(record.pos)
    return replace(record, pos_scores=tuple(scores[:cut]), neg_scores=tuple(scores[cut:]))


def _n_texts(record: TrainingRecord) -> int:
    return len(record.pos) + len(record.neg)


def _no_texts(record: TrainingRecord) -> str | None:
    return None if _n_texts(record) else "there is no text to score; take the row out, or mine negatives first"


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
