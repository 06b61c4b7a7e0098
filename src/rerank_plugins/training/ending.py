"""What a training brought, worked out at its end: measures of all sets, what got worse, and a calibration."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rerank_plugins.calibration import Calibration, ScoreSource, fit_calibration, labelled_scores
from rerank_plugins.errors import InvalidInputError, MissingExtraError
from rerank_plugins.training.dev import DevSet
from rerank_plugins.training.kind import Saved, SetScores
from rerank_plugins.training.preparing import Prepared
from rerank_plugins.training.results import MeasureChange, SetChange, WorseQuery, changes
from rerank_plugins.training.trainable.base import MERGED

__all__ = ["Ending", "ending_of"]

logger = logging.getLogger(__name__)

_WORST = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """What the measured sets tell.

    Attributes:
        dev: The dev set's measures; empty without one.
        kept: The sets of ``keep_data``.
        worse: The queries that lost the most.
        calibration: Fitted on the dev set; None if it cannot be.
    """

    dev: tuple[MeasureChange, ...]
    kept: tuple[SetChange, ...]
    worse: tuple[WorseQuery, ...]
    calibration: Calibration | None


def ending_of(prepared: Prepared, before: SetScores, saved: Saved) -> Ending:
    """Return what a training brought.

    Args:
        prepared: The run.
        before: Scores of the model that it started from, for each measured set.
        saved: Those of the trained model.
    """
    metric = prepared.settings.run.metric
    sets = prepared.sets
    found = [_changes(one, old, new) for one, old, new in zip(sets, before, saved.scores, strict=True)]
    worse = [
        query
        for one, old, new in zip(sets, before, saved.scores, strict=True)
        for query in _worse(one, old, new, metric=metric)
    ]
    dev = found[0].changes if prepared.dev is not None else ()
    calibration = None
    if prepared.dev is not None and saved.source is not None:
        source = _own_name(saved.source, Path(prepared.settings.run.output_dir))
        calibration = _calibration(prepared.dev, saved.scores[0], source)
    return Ending(
        dev=dev,
        kept=tuple(found[len(found) - len(prepared.kept) :]),
        worse=tuple(sorted(worse, key=lambda one: one.after - one.before)[:_WORST]),
        calibration=calibration,
    )


def _changes(dev: DevSet, before: Sequence[float], after: Sequence[float]) -> SetChange:
    measured = changes(dev.measured(before), dev.measured(after))
    return SetChange(name=dev.dataset.name, n_queries=len(dev.dataset.queries), changes=measured)


def _worse(dev: DevSet, before: Sequence[float], after: Sequence[float], *, metric: str) -> list[WorseQuery]:
    """Return the queries of a set on which a measure fell."""
    old, new = dev.measured(before).per_query[metric], dev.measured(after).per_query[metric]
    run, texts = dev.run(after), dev.dataset.texts
    found = []
    for query_id, listed in run.items():
        right = [one for one in listed if dev.dataset.qrels.get(query_id, {}).get(one, 0) > 0]
        if not right or new[query_id] >= old[query_id]:
            continue
        found.append(
            WorseQuery(
                set_name=dev.dataset.name,
                query=dev.dataset.queries[query_id],
                before=old[query_id],
                after=new[query_id],
                first=texts[max(listed, key=listed.__getitem__)],
                answer=texts[max(right, key=listed.__getitem__)],
            )
        )
    return found


def _own_name(source: ScoreSource, output: Path) -> ScoreSource:
    """Return a source under the name that the folder will have; it was opened aside, under another one.

    The scores of an adapter are those of the model that it belongs to with the adapter of that name; a whole model
    that is saved in the adapter's folder keeps its own name.
    """
    if source.settings.get("peft_path") is not None:
        return replace(source, settings={**source.settings, "peft_path": output.name})
    return source if source.model == MERGED else replace(source, model=output.name)


def _calibration(dev: DevSet, scores: Sequence[float], source: ScoreSource) -> Calibration | None:
    """Return probabilities of relevance fitted on a dev set; None, and why in the log, if there are none."""
    try:
        values, labels = labelled_scores(dev.run(scores), dev.dataset.qrels)
        return fit_calibration(values, labels, source=source)
    except (InvalidInputError, MissingExtraError) as error:
        logger.warning("no calibration was fitted on the dev set: %s", error)
        return None
