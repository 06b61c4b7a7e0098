"""Cascades and ensembles as rerankers: they rank, stream into adapters and close like one that is one model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rerank_plugins.backends.handles import opened_with
from rerank_plugins.checks.arguments import checked_call
from rerank_plugins.composed.cascade import CascadeScorer
from rerank_plugins.composed.ensemble import EnsembleScorer
from rerank_plugins.composed.files import read_composed
from rerank_plugins.composed.members import Bias, BudgetMs, Member, RankOffset, Stage
from rerank_plugins.composed.naming import Fusion, Spelled
from rerank_plugins.reranker import Reranker
from rerank_plugins.types import EngineOptions

__all__ = ["Cascade", "Ensemble"]


class _Composed(Reranker):
    """A reranker that is made of others, and closes those that it opened."""

    _spelled: Spelled

    def _hold(
        self, scorer: CascadeScorer | EnsembleScorer, engine: EngineOptions | None, given: dict[str, Any]
    ) -> None:
        Reranker.__init__(self, backend=scorer, engine=engine)
        # The last holder of this backend closes it, as if it had been opened by name.
        self._lease.value.is_owned = True
        self._opened_with = opened_with(type(self), given)
        self._spelled = scorer.name

    @property
    def is_named(self) -> bool:
        """Whether ``model`` opens it again: not where objects, calibrations or options are part of it.

        Nor does it where a model's name breaks the text: a folder with a parenthesis that is not closed.
        """
        return self._spelled.is_whole


class Cascade(_Composed):
    """Stages of models, each of which orders the best of the one before it, within a budget of time.

    A :class:`~rerank_plugins.reranker.Reranker` in every respect; what its scores mean, and what happens when time is
    short: :class:`~rerank_plugins.composed.cascade.CascadeScorer`. By name it is written
    ``Reranker("cascade:cosine:mini@200,mini@50,300ms")``, or ``Reranker("cascade:FILE.yaml")``.

    Args:
        stages: Models with their depths, first to last: ``("mini", 200)``, a name, or a
            :class:`~rerank_plugins.composed.members.Stage`, which takes more. A model is a name or folder, a
            ``Reranker``, or a backend.
        budget_ms: Milliseconds for each query; None sets no limit.
        engine: Only ``deadline_s``, for calls that ask for none; the stages have engine options of their own.

    Raises:
        InvalidInputError: There is no stage, one cannot work where it stands, or the budget is not above 0.
        ModelError: A model cannot be loaded.

    Example:
        >>> cascade = Cascade([("cosine:mini", 200), ("mini", 50)], budget_ms=500)
        >>> cascade.rank("capital of France", ["Berlin", "Paris is the capital."])[0].stages[-1].name
        'mini'
    """

    @checked_call(unchecked=("stages",))
    def __init__(self, stages: Any, *, budget_ms: BudgetMs | None = None, engine: EngineOptions | None = None) -> None:
        given = {"stages": stages, "budget_ms": budget_ms, "engine": engine}
        scorer = CascadeScorer(stages, budget_ms=budget_ms)
        self._hold(scorer, engine, given)

    @classmethod
    @checked_call()
    def from_file(cls, path: str | Path) -> Cascade:
        """Return the cascade that a JSON, YAML or TOML file describes; see :mod:`rerank_plugins.composed.files`.

        Raises:
            InvalidInputError: The file cannot be read, or says something else.
            ModelError: A model cannot be loaded.
        """
        stages, settings = read_composed(path, what="stages", settings=("budget_ms",))
        return cls(stages, **settings)

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The stages, in the order in which they run."""
        made: tuple[Stage, ...] = self._lease.value.backend.stages
        return made

    @property
    def budget_ms(self) -> float | None:
        """Milliseconds for each query; None for no limit."""
        budget: float | None = self._lease.value.backend.budget_ms
        return budget


class Ensemble(_Composed):
    """Models that all score every document, and one score of their opinions.

    A :class:`~rerank_plugins.reranker.Reranker` in every respect; how scores are put together:
    :class:`~rerank_plugins.composed.ensemble.EnsembleScorer`. By name it is written
    ``Reranker("ensemble:mini,bm25*0.5,rrf")``, or ``Reranker("ensemble:FILE.yaml")``.

    Args:
        members: Models with their weights: ``("mini", 0.7)``, a name, or a
            :class:`~rerank_plugins.composed.members.Member`, which takes more.
        fusion: ``rrf``, ``probability`` or ``logit``.
        k: Of ``rrf``: how little the first ranks stand out.
        bias: Of ``logit``: what is added to the weighted sum.
        engine: Only ``deadline_s``, for calls that ask for none.

    Raises:
        InvalidInputError: There are fewer than two members, or a setting cannot work.
        ModelError: A model cannot be loaded.

    Example:
        >>> ensemble = Ensemble(["mini", "cosine:mini"], fusion="rrf")
        >>> ensemble.rank("capital of France", ["Berlin", "Paris is the capital."])[0].index
        1
    """

    @checked_call(unchecked=("members",))
    def __init__(
        self,
        members: Any,
        *,
        fusion: Fusion = "rrf",
        k: RankOffset = 60,
        bias: Bias = 0.0,
        engine: EngineOptions | None = None,
    ) -> None:
        given = {"members": members, "fusion": fusion, "k": k, "bias": bias, "engine": engine}
        scorer = EnsembleScorer(members, fusion=fusion, k=k, bias=bias)
        self._hold(scorer, engine, given)

    @classmethod
    @checked_call()
    def from_file(cls, path: str | Path) -> Ensemble:
        """Return the ensemble that a JSON, YAML or TOML file describes; see :mod:`rerank_plugins.composed.files`.

        Raises:
            InvalidInputError: The file cannot be read, or says something else.
            ModelError: A model cannot be loaded.
        """
        members, settings = read_composed(path, what="members", settings=("fusion", "k", "bias"))
        return cls(members, **settings)

    @property
    def members(self) -> tuple[Member, ...]:
        """The members with their weights."""
        made: tuple[Member, ...] = self._lease.value.backend.members
        return made

    @property
    def bias(self) -> float:
        """What the fusion ``logit`` adds to the weighted sum."""
        bias: float = self._lease.value.backend.bias
        return bias
