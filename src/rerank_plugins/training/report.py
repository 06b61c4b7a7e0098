"""One page of what a training brought, with the texts of what got worse; the model card quotes none of them."""

from __future__ import annotations

from collections.abc import Sequence

from rerank_plugins.training.preparing import Prepared
from rerank_plugins.training.results import TrainingResult, WorseQuery
from rerank_plugins.training.tables import calibration_lines, measured_lines

__all__ = ["report_page"]

_LINE = "\n"
_SHOWN_CHARACTERS = 300


def report_page(prepared: Prepared, result: TrainingResult) -> str:
    """Return the page, in Markdown.

    It quotes queries and texts of the measured sets: it is for those who may read these, and not for publication.
    """
    return f"""# What the training of {result.folder.name} brought

This page quotes the data that it was measured on; the model card (README.md) does not.

## Before and after

{_LINE.join(measured_lines(result))}

## What got worse

{_LINE.join(_worse(result.worse, metric=prepared.settings.run.metric))}

## Thresholds and probabilities

{_LINE.join(calibration_lines(result))}
"""


def _worse(queries: Sequence[WorseQuery], *, metric: str) -> list[str]:
    if not queries:
        return [f"{metric} fell for no query of the measured sets."]
    lines = [f"The queries on which {metric} fell the most, with the text that is first now and the best answer."]
    for one in queries:
        lines += [
            "",
            f"* {_shown(one.query)} (`{one.set_name}`, {one.before:.3f} to {one.after:.3f})",
            f"  * first now: {_shown(one.first)}",
            f"  * an answer: {_shown(one.answer)}",
        ]
    return lines


def _shown(text: str) -> str:
    """Return the beginning of a text in one line, with nothing in it that Markdown or HTML would act upon."""
    line = " ".join(text.split())
    cut = line if len(line) <= _SHOWN_CHARACTERS else f"{line[:_SHOWN_CHARACTERS]}..."
    return "".join(f"\\{one}" if one in "\\`*_[]<>#|" else one for one in cut)
