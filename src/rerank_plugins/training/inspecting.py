"""Checks training data before the first step: errors stop the run, warnings are logged."""

from __future__ import annotations

import logging
from pathlib import Path

from rerank_plugins.training.data.checking import CheckOptions, check_data
from rerank_plugins.training.settings_common import CommonDataSettings

__all__ = ["inspect_data"]

logger = logging.getLogger(__name__)


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
    report = check_data(list(data.train_data), dev=dev, options=options)
    report.raise_on_errors()
    for one in report.warnings:
        # An example is a place and a text; texts are not logged.
        places = ", ".join(example.partition(": ")[0] for example in one.examples)
        logger.warning("training data: %d %s (%s)", one.count, one.sentence, places)
