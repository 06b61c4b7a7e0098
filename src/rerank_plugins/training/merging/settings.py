"""What is merged, how the weight is chosen, and what came of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from rerank_plugins.catalog.spec import ModelKind
from rerank_plugins.checks.arguments import checked_fields
from rerank_plugins.checks.kinds import Count, ModelName, Within
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.types import SourceOptions

__all__ = ["MergeResult", "MergeSettings", "WeightTrial"]

_CHOSEN_FROM = (0.5, 0.7, 0.85, 1.0)
_ALONE = 0.5
_SUM_TOLERANCE = 1e-6

_Share = Annotated[float, Within(0.0, 1.0)]


@checked_fields()
@dataclass(frozen=True, slots=True, kw_only=True)
class MergeSettings:
    """What is averaged, and where the result goes.

    Attributes:
        models: The tuned model, by folder or name; or several models, which are averaged with ``weights``.
        output_dir: Folder of the merged model; it must not exist yet, or be empty.
        base: What the tuned model started from; None if ``models`` are several.
        weights: With ``base`` the weights of the tuned model that are tried, of which one is chosen; None tries .5, .7,
            .85 and 1 where there is ``dev_data``, and takes .5 (LM-Cocktail) where there is none. Without ``base`` the
            weight of each model; they add up to 1.
        kind: ``reranker`` or ``embedder``; None takes what the first model is.
        family: Conventions of a local folder that its name does not tell (``qwen3``); None takes what its files say.
        dev_data: What the weight is chosen on: anything that ``rerank-plugins evaluate`` reads.
        keep_data: Sets on which the merged model must not be worse than ``base`` by more than ``max_drop``.
        keep_queries: Queries of each of them that are measured at most, drawn by their texts.
        metric: Measure by which is chosen.
        max_drop: See ``keep_data``.
        dev_top_k: Documents of a query that are ranked where a set names no candidates: BM25's best.
        max_length: Tokens of an input when a set is measured; None takes the model's own.
        device: Where that happens; None takes the best device.
        allow_pickle: Whether heads of embedders that are pickles (``*.pt``) are read.
    """

    models: tuple[ModelName, ...]
    output_dir: str | Path
    base: ModelName | None = None
    weights: tuple[_Share, ...] | None = None
    kind: ModelKind | None = None
    family: str | None = None
    dev_data: str | Path | None = None
    keep_data: tuple[str | Path, ...] = ()
    keep_queries: Count = 200
    metric: str = "nDCG@10"
    max_drop: Annotated[float, Within(0.0)] = 0.01
    dev_top_k: Count = 50
    max_length: Count | None = None
    device: str | None = None
    allow_pickle: bool = False

    def __post_init__(self) -> None:
        if self.base is None:
            self._check_several()
        else:
            self._check_tuned()

    def _check_several(self) -> None:
        if len(self.models) < 2 or self.weights is None or len(self.weights) != len(self.models):
            msg = (
                f"{len(self.models)} models and weights={self.weights}: name the model that one was tuned from with "
                "base (--base), or several models with a weight for each"
            )
            raise InvalidInputError(msg)
        if not math.isclose(sum(self.weights), 1.0, abs_tol=_SUM_TOLERANCE):
            msg = f"weights={self.weights} add up to {sum(self.weights):g}; they must add up to 1"
            raise InvalidInputError(msg)
        if self.dev_data is not None or self.keep_data:
            msg = "dev_data and keep_data choose the weight of a tuned model against its base; name that one with base"
            raise InvalidInputError(msg)

    def _check_tuned(self) -> None:
        if len(self.models) != 1:
            msg = f"base is what one tuned model started from, and {len(self.models)} models are named; name one"
            raise InvalidInputError(msg)
        if self.weights is not None and (not self.weights or len(set(self.weights)) < len(self.weights)):
            msg = f"weights={self.weights} must be one or several different weights of the tuned model"
            raise InvalidInputError(msg)
        if self.dev_data is None and (self.keep_data or len(self.tried) > 1):
            msg = "a weight is chosen on dev_data (--dev-data); give it, or one weight and no keep_data"
            raise InvalidInputError(msg)

    @property
    def source(self) -> SourceOptions:
        """What every model of the merge is opened with."""
        return SourceOptions(family=self.family)

    @property
    def tried(self) -> tuple[float, ...]:
        """Weights of the tuned model that are tried, in rising order."""
        default = (_ALONE,) if self.dev_data is None else _CHOSEN_FROM
        return tuple(sorted(default if self.weights is None else self.weights))


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightTrial:
    """A weight of the tuned model, and what the merged model reached.

    Attributes:
        weight: The weight; 0 is the model that it started from.
        dev: The measure on the dev set.
        keep: The measure on each of the other sets, by name.
    """

    weight: float
    dev: float
    keep: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeResult:
    """What was merged.

    Attributes:
        folder: The merged model.
        kind: What it is.
        weights: Of each model, the base last.
        dev: Name of the dev set; None if there was none.
        trials: The weights that were measured, the base first; empty without a dev set.
        n_tensors: Tensors that were averaged.
    """

    folder: Path
    kind: ModelKind
    weights: Mapping[str, float]
    dev: str | None
    trials: tuple[WeightTrial, ...]
    n_tensors: int
