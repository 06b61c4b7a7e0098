"""Checks training data before the first step: errors stop the run, warnings are logged."""

from __future__ import annotations

import logging
from pathlib import Path

from rerank_plugins.errors import InvalidInputError
from rerank_plugins.evaluation.formats import open_dataset
from rerank_plugins.training.data.checking import CheckOptions
from rerank_plugins.training.data.checking.check import DevTexts, check_stream
from rerank_plugins.training.data.reading import open_records
from rerank_plugins.training.settings_common import CommonDataSettings

__all__ = ["inspect_data"]

logger = logging.getLogger(__name__)

_MOST_NOTES = 10


def inspect_data(data: CommonDataSettings, options: CheckOptions) -> None:
    """Check training data and dev set as ``rerank-plugins data check`` does; warnings are logged, without texts.

    Args:
        data: Names them.
        options: What they are for.

    Raises:
        InvalidInputError: There are errors that are not allowed; the message has each with an example, its file and
            line.
    """
    # A dev set that is a task of MTEB is no file.
    dev = data.dev_data if data.dev_data is not None and Path(data.dev_data).exists() else None
    known = None if dev is None else _dev_texts(dev)
    report = check_stream(open_records(list(data.train_data)), known, options)
    report.raise_on_errors()
    if report.notes:
        listed = "; ".join(f"{what} ({count})" for what, count in list(report.notes.items())[:_MOST_NOTES])
        logger.warning("training data: not read: %s", listed)
    for one in report.warnings:
        # An example is a place and a text; texts are not logged.
        places = ", ".join(example.partition(": ")[0] for example in one.examples)
        logger.warning("training data: %d %s (%s)", one.count, one.sentence, places)


def _dev_texts(source: str | Path) -> DevTexts:
    """Return what a dev set holds, read as it is measured: evaluation takes files that no training format describes."""
    dataset, known = open_dataset(source), DevTexts()
    texts = dataset.texts
    for query_id, query in dataset.queries.items():
        known.add(query, [texts[one] for one in dataset.relevant_ids(query_id) if one in texts])
    if not known.n_records:
        msg = f"the dev set ({source}) is empty; name one with queries, or none"
        raise InvalidInputError(msg)
    return known
