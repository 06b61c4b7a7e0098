"""What each candidate stage says of each query's candidates, scored once and kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rerank_plugins.composed.members import OpenModel, Stage, opened
from rerank_plugins.text.tokenizer import is_blank

__all__ = ["KeptScores", "QueryScores", "keep_scores"]

_Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class QueryScores:
    """The candidates of one query, as each stage sees them. The first stage's order is the order of the arrays.

    Attributes:
        ids: Document ids, in the order of the candidates.
        characters: Of each pair, query and document; 0 of one that no stage is shown. Shape: (documents,).
        scores: Raw score by each stage. Shape: (stages, documents).
        probabilities: In [0, 1]; likewise.
        ms: Milliseconds that each stage took for all of them. Shape: (stages,).
        firsts: Of each the place of the first candidate with the same text, which alone a stage is shown; -1 of a blank
            one. None where no two are the same and none is blank. Shape: (documents,).
    """

    ids: tuple[str, ...]
    characters: _Floats
    scores: _Floats
    probabilities: _Floats
    ms: _Floats
    firsts: npt.NDArray[np.intp] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class KeptScores:
    """The scores of all stages.

    Attributes:
        names: Of the stages.
        is_listwise: Whether a stage's scores count only beside the others of their list.
        queries: Query id to what was scored.
    """

    names: tuple[str, ...]
    is_listwise: tuple[bool, ...]
    queries: Mapping[str, QueryScores]

    @property
    def n_candidates(self) -> int:
        """The most candidates that a query has."""
        return max(len(one.ids) for one in self.queries.values())


def keep_scores(
    stages: Sequence[Stage],
    queries: Mapping[str, str],
    candidates: Mapping[str, Sequence[str]],
    texts: Mapping[str, str],
    *,
    advance: Callable[[int], object] | None = None,
) -> KeptScores:
    """Score the candidates of each query once with each stage; each call is timed alone, after one that warms up.

    Args:
        stages: Opened here, and closed if they were.
        queries: Query id to text.
        candidates: Query id to document ids, in the order in which a first stage gets them.
        texts: Document id to text.
        advance: Called with 1 after each call of a stage.

    Raises:
        InvalidInputError: A stage is no model, or its options cannot work.
        ModelError: A model cannot be loaded.
    """
    with ExitStack() as stack:
        models: list[OpenModel] = []
        for stage in stages:
            models.append(opened(stage))
            stack.callback(models[-1].close)
        for model in models:
            model.reranker.rank("warm up", ["The first call of a model is slower."], layers=model.layers)
        kept = {
            query_id: _scored(models, query, candidates[query_id], texts, advance)
            for query_id, query in queries.items()
        }
        listwise = tuple(one.reranker.spec.score_scope == "call" for one in models)
        return KeptScores(tuple(one.name for one in models), listwise, kept)


def _scored(
    models: Sequence[OpenModel],
    query: str,
    ids: Sequence[str],
    texts: Mapping[str, str],
    advance: Callable[[int], object] | None,
) -> QueryScores:
    documents = [texts[one] for one in ids]
    scores, probabilities = np.zeros((2, len(models), len(ids)))
    ms = np.zeros(len(models))
    for row, model in enumerate(models):
        start_s = time.perf_counter()
        ranked = model.reranker.rank(query, documents, layers=model.layers)
        ms[row] = (time.perf_counter() - start_s) * 1e3
        for one in ranked:
            scores[row, one.index], probabilities[row, one.index] = one.score, one.probability
        if advance is not None:
            advance(1)
    firsts = _firsts(documents)
    shown = firsts == np.arange(len(documents))
    characters = np.array([len(query) + len(one) for one in documents], dtype=np.float64) * shown
    return QueryScores(tuple(ids), characters, scores, probabilities, ms, None if shown.all() else firsts)


def _firsts(documents: Sequence[str]) -> npt.NDArray[np.intp]:
    first_of: dict[str, int] = {}
    places = [-1 if is_blank(text) else first_of.setdefault(text, place) for place, text in enumerate(documents)]
    return np.array(places, dtype=np.intp)
