"""``rerank-plugins calibrate``: labelled pairs, or a run with judgements, become a calibration file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rerank_plugins.cli.option_groups import takes_groups
from rerank_plugins.cli.output import check_output
from rerank_plugins.display.terminal import Screen
from rerank_plugins.errors import InvalidInputError, ModelError

if TYPE_CHECKING:
    from rerank_plugins.calibration import Calibration, FittedThreshold, ScoreSource

__all__ = ["calibrate"]

_KEYS = ("query", "document", "label")


@dataclass(frozen=True, slots=True, kw_only=True)
class _FitOptions:
    """What is fitted."""

    method: Annotated[str, typer.Option(help="platt or isotonic.")] = "platt"
    precision: Annotated[float | None, typer.Option(help="Also fit a threshold for this precision.")] = None
    recall: Annotated[float | None, typer.Option(help="Also fit a threshold for this recall.")] = None


@takes_groups
def calibrate(
    data: Annotated[
        Path,
        typer.Argument(help="JSONL of {query, document, label}, scored with --model; or a TREC run, with --qrels."),
    ],
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write.")],
    qrels: Annotated[Path | None, typer.Option(help="Judgements; the data is then a run.")] = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Reranker: scores the pairs, or made the run.")
    ] = None,
    fit: _FitOptions,
    scores: Annotated[str, typer.Option(help="What a run's scores are: raw, or probability (a sigmoid's).")] = "raw",
    device: Annotated[str | None, typer.Option(help="cpu, cuda, mps; the best by default.")] = None,
) -> None:
    """Fit probabilities, and thresholds, on labelled pairs; Reranker(calibration=FILE) uses them.

    A run's file tells no settings: with --model the calibration is bound to that model by name only.
    """
    from rerank_plugins.calibration import ScoreSource, fit_calibration

    # Checked before scoring, which may take minutes.
    _check_options(fit)
    for read in (data, qrels):
        if read is not None:
            check_output(output, data=read)
    if qrels is not None:
        if device is not None:
            msg = (
                f"--device {device} does nothing with --qrels: a run has its scores, and no model is run. Leave it out"
            )
            raise InvalidInputError(msg)
        values, labels = _from_run(data, qrels, unit=scores)
        source = ScoreSource(model=None if model is None else _source_name(model))
    else:
        values, labels, source = _from_pairs(data, model=model or "mini", device=device, unit=scores)
    made = fit_calibration(values, labels, method=fit.method, source=source)  # type: ignore[arg-type]
    # Scoring may have taken minutes: a threshold that the pairs do not allow costs no calibration.
    made.save(output)
    try:
        thresholds = _thresholds(values, labels, precision=fit.precision, recall=fit.recall)
    except InvalidInputError as error:
        msg = f"{error}. The calibration without a threshold is written to {output}"
        raise InvalidInputError(msg) from error
    for threshold in thresholds:
        made = made.with_threshold(threshold)
    if thresholds:
        made.save(output)
    _print_summary(Screen(), made, values, labels, output)


def _source_name(model: str) -> str:
    """Return what a reranker calls the model: a folder, an old hub id or a backend has another name there.

    Raises:
        InvalidInputError: Its scores count only beside the others of their list.
        ModelError: It is made of models, and one of them cannot be loaded.
    """
    from rerank_plugins.backends.leases import spec_of_backend
    from rerank_plugins.calls.calibrating import check_scope
    from rerank_plugins.catalog.resolve import resolve
    from rerank_plugins.catalog.table import find_by_id
    from rerank_plugins.cli.quiet import quiet_loading
    from rerank_plugins.types import SourceOptions

    quiet_loading()
    spec = spec_of_backend(model, kind="reranker")
    if spec is not None:
        check_scope(spec, {"a calibration": model})
        return spec.id
    folder = Path(model).expanduser()
    if not folder.is_dir():
        # The hub ignores case, and knows some models by an old id too.
        listed = find_by_id(model, kind="reranker")
        return model if listed is None else listed.id
    try:
        found = Path(resolve(model, kind="reranker", options=SourceOptions()).spec.id)
    except ModelError:
        # It may open with options that this command has none of, such as a family; a folder is known by its own name.
        return folder.resolve().name
    return found.name if found.is_absolute() else found.as_posix()


def _check_options(fit: _FitOptions) -> None:
    """Raise for options that the fit would refuse, before anything is scored."""
    if fit.method not in ("platt", "isotonic"):
        msg = f"--method must be 'platt' or 'isotonic', got {fit.method!r}"
        raise InvalidInputError(msg)
    for name, target in (("--precision", fit.precision), ("--recall", fit.recall)):
        if target is not None and not 0.0 < target <= 1.0:
            msg = f"{name} must be above 0 and at most 1, got {target}"
            raise InvalidInputError(msg)


def _from_run(path: Path, qrels: Path, *, unit: str) -> tuple[list[float], list[bool]]:
    from rerank_plugins.calibration import labelled_scores, logits
    from rerank_plugins.evaluation import read_qrels, read_trec_run
    from rerank_plugins.evaluation.run import unquoted_run

    if unit not in ("raw", "probability"):
        msg = f"--scores must be 'raw' or 'probability', got {unit!r}"
        raise InvalidInputError(msg)
    judged = read_qrels(qrels)
    documents = {one for grades in judged.values() for one in grades}
    values, labels = labelled_scores(unquoted_run(read_trec_run(path), queries=judged, documents=documents), judged)
    return (logits(values) if unit == "probability" else values), labels


def _from_pairs(
    path: Path, *, model: str, device: str | None, unit: str
) -> tuple[list[float], list[bool], ScoreSource]:
    from rerank_plugins import Reranker
    from rerank_plugins.cli.quiet import quiet_loading

    if unit != "raw":
        msg = "--scores is for runs; pairs are scored here, and their scores are raw. Leave it out, or pass --qrels"
        raise InvalidInputError(msg)
    entries = _entries(path)
    quiet_loading()
    with Reranker(model, device=device) as reranker:
        source = reranker.score_source  # raises before anything is scored
        values = reranker.score([(entry["query"], entry["document"]) for entry in entries])
        return values, [bool(entry["label"]) for entry in entries], source


def _entries(path: Path) -> list[dict[str, Any]]:
    """Return the labelled pairs of a JSONL file, or raise InvalidInputError."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{str(path)!r} could not be read as UTF-8 text ({error}); give one JSON object per line"
        raise InvalidInputError(msg) from error
    lines = [(number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]
    return [_entry(line, place=f"{path}, line {number}") for number, line in lines]


def _entry(line: str, *, place: str) -> dict[str, Any]:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError) as error:
        msg = f"{place}: not JSON ({error})"
        raise InvalidInputError(msg) from error
    texts_ok = isinstance(entry, dict) and all(isinstance(entry.get(key), str) for key in _KEYS[:2])
    if not texts_ok or entry.get("label") not in (0, 1):
        msg = f"{place}: expected an object with the texts 'query' and 'document' and a 'label' that is 0 or 1"
        raise InvalidInputError(msg)
    return entry  # type: ignore[no-any-return]


def _thresholds(
    values: list[float], labels: list[bool], *, precision: float | None, recall: float | None
) -> list[FittedThreshold]:
    from rerank_plugins.calibration import fit_threshold

    fitted = [fit_threshold(values, labels, precision=precision)] if precision is not None else []
    return [*fitted, fit_threshold(values, labels, recall=recall)] if recall is not None else fitted


def _print_summary(console: Screen, made: Calibration, values: list[float], labels: list[bool], output: Path) -> None:
    from rerank_plugins.calibration import measure_reliability

    probabilities = [made.probability(value) for value in values]
    error = measure_reliability(probabilities, labels).expected_calibration_error
    fitted = f"{made.method} on {made.n_pairs:,} pairs, {made.n_relevant:,} of them relevant"
    lines = [
        f"{fitted}; expected calibration error on the same pairs {error:.3f}",
        *(
            f"threshold for {one.goal} {one.target:g}: raw score {one.value:.4f}, probability "
            f"{made.probability(one.value):.4f}; precision {one.precision:.3f}, recall {one.recall:.3f}, "
            f"{one.n_kept:,} of {one.n_pairs:,} pairs pass"
            for one in made.thresholds
        ),
        f"written to {output}; use it with Reranker(..., calibration={str(output)!r})",
    ]
    for line in lines:
        console.print(line, soft_wrap=True)
