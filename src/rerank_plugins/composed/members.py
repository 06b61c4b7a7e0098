"""The models that a cascade or an ensemble is made of: as a caller names them, and open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

from rerank_plugins.backends.protocol import PairScorer
from rerank_plugins.calibration import Calibration
from rerank_plugins.calls.flat_options import RERANKER_OPTIONS
from rerank_plugins.checks.arguments import checked_fields
from rerank_plugins.checks.kinds import Count, Within, shown
from rerank_plugins.checks.moved import regrouped
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.reranker import Reranker
from rerank_plugins.types import LayerOptions

__all__ = [
    "Bias",
    "BudgetMs",
    "Member",
    "OpenModel",
    "RankOffset",
    "Stage",
    "listed_members",
    "listed_stages",
    "opened",
]

BudgetMs = Annotated[
    float,
    Within(0.0, 3_600_000.0, is_open=True),
    "milliseconds above 0, below an hour, or None for no limit (0 leaves no time for any stage)",
]
RankOffset = Annotated[int, Within(0, 1_000_000)]
Bias = Annotated[float, Within(-1e6, 1e6)]
_Probability = Annotated[float, Within(0.0, 1.0)]
_LEAST_WEIGHT = 1e-100
"""Sums of less, divided by ranks, are no longer numbers above 0."""
_Weight = Annotated[float, Within(0.0, 1e100)]


@checked_fields(unchecked=("model",))
@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of a cascade.

    Attributes:
        model: A model's name or folder, a ``Reranker``, or a backend (``PairScorer``). Objects stay the caller's to
            close.
        depth: Documents that it reads at most: the first so many of the order before it. None reads all.
        layers: Layers of a layerwise LLM reranker, or the number of the one layer.
        calibration: Makes its probabilities, for a model that is named here; None takes the model's own scale.
        min_probability: Documents to which the stage before gave less are not read; None reads them too. Not for a
            first stage.
        options: Further options of :class:`~rerank_plugins.reranker.Reranker` for a model that is named here, flat:
            ``{"max_length": 256, "device": "cuda", "long_documents": "maxp"}``.
    """

    model: str | Path | Reranker | PairScorer
    depth: Count | None = None
    layers: LayerOptions | int | None = field(default=None, kw_only=True)
    calibration: str | Path | Calibration | None = field(default=None, kw_only=True)
    min_probability: _Probability | None = field(default=None, kw_only=True)
    options: Mapping[str, Any] = field(default_factory=dict, kw_only=True)


@checked_fields(unchecked=("model",))
@dataclass(frozen=True, slots=True)
class Member:
    """One model of an ensemble.

    Attributes:
        model: As of a :class:`Stage`.
        weight: How much it counts, 0 or more.
        layers: As of a :class:`Stage`.
        calibration: As of a :class:`Stage`.
        options: As of a :class:`Stage`.
    """

    model: str | Path | Reranker | PairScorer
    weight: _Weight = 1.0
    layers: LayerOptions | int | None = field(default=None, kw_only=True)
    calibration: str | Path | Calibration | None = field(default=None, kw_only=True)
    options: Mapping[str, Any] = field(default_factory=dict, kw_only=True)


@dataclass(frozen=True, slots=True, eq=False)
class OpenModel:
    """A model that is ready to score.

    Attributes:
        name: What it is called in results: as it was named, with the layer where one was chosen.
        reranker: Scores.
        layers: The layers that are asked for; None takes the reranker's own.
        is_owned: Whether it was opened here, and is closed here.
    """

    name: str
    reranker: Reranker
    layers: LayerOptions | None
    is_owned: bool

    def close(self) -> None:
        """Close the reranker if it was opened here."""
        if self.is_owned:
            self.reranker.close()


def opened(one: Stage | Member) -> OpenModel:
    """Open the model of a stage or a member.

    Raises:
        InvalidInputError: It is no model, or an option that decides how a model is opened stands beside an object.
        ModelError: The model cannot be resolved or loaded.
    """
    layers = LayerOptions(cutoff_layers=(one.layers,)) if isinstance(one.layers, int) else one.layers
    name = _name(one)
    if isinstance(one.model, (str, Path)):
        made = Reranker(one.model, **regrouped({"calibration": one.calibration, **one.options}, RERANKER_OPTIONS))
        return OpenModel(name, made, layers, is_owned=True)
    if one.calibration is not None or one.options:
        msg = (
            f"calibration and options say how a model is opened, and {name!r} is an object; give them where it is made"
        )
        raise InvalidInputError(msg)
    if isinstance(one.model, Reranker):
        return OpenModel(name, one.model, layers, is_owned=False)
    return OpenModel(name, Reranker(backend=one.model), layers, is_owned=True)


def listed_stages(stages: object) -> tuple[Stage, ...]:
    """Return the stages of a cascade, from the short forms too: a model, or a pair of a model and its depth.

    Raises:
        InvalidInputError: There is none, or one cannot work where it stands.
    """
    found = _listed(stages, Stage, what="stages", example='Cascade([("mini", 200), ("BAAI/bge-reranker-v2-m3", 50)])')
    if found[0].min_probability is not None:
        msg = (
            f"the first stage has min_probability={found[0].min_probability}, and there is no stage before it whose "
            "probabilities it could ask for; set it on a later stage"
        )
        raise InvalidInputError(msg)
    for number, (before, one) in enumerate(pairwise(found), start=2):
        if before.depth is not None and (one.depth is None or one.depth > before.depth):
            asked = "all documents" if one.depth is None else f"{one.depth} documents"
            msg = (
                f"stage {number} reads {asked} and the stage before it orders only {before.depth}; give each stage at "
                "most the depth of the one before"
            )
            raise InvalidInputError(msg)
    return found


def listed_members(members: object) -> tuple[Member, ...]:
    """Return the members of an ensemble, from the short forms too: a model, or a pair of a model and its weight.

    Raises:
        InvalidInputError: There are fewer than two, or none counts.
    """
    found = _listed(members, Member, what="members", example='Ensemble(["mini", "bm25"])')
    if len(found) < 2 or max(one.weight for one in found) < _LEAST_WEIGHT:
        got = [(_name(one), one.weight) for one in found]
        msg = f"an ensemble needs two members, and a weight above 0 ({_LEAST_WEIGHT:g} at least); got {got}"
        raise InvalidInputError(msg)
    return found


def _listed(given: object, owner: type[Any], *, what: str, example: str) -> tuple[Any, ...]:
    if isinstance(given, (str, bytes)) or not isinstance(given, Sequence):
        msg = f"{what} must be a list, got {shown(given)}; for example {example}"
        raise InvalidInputError(msg)
    if not given:
        msg = f"{what} is empty, so nothing would score; name at least one model, for example {example}"
        raise InvalidInputError(msg)
    return tuple(_one(value, owner, place=f"{what}[{place}]") for place, value in enumerate(given))


def _one(value: object, owner: type[Any], *, place: str) -> Any:
    if isinstance(value, owner):
        made = value
    elif isinstance(value, (tuple, list)) and len(value) == 2:
        made = owner(*value)
    else:
        made = owner(value)
    if isinstance(made.model, type) or not isinstance(made.model, (str, Path, Reranker, PairScorer)):
        number = fields(owner)[1].name
        msg = (
            f"{place} must be a {owner.__name__}, a model, or a pair (model, {number}), and a model is a name, a "
            f"folder, a Reranker or a backend; got {shown(value)}"
        )
        raise InvalidInputError(msg)
    return made


def _name(one: Stage | Member) -> str:
    model = one.model
    if isinstance(model, Reranker):
        name = model.model
    else:
        name = str(model) if isinstance(model, (str, Path)) else model.spec.id
    layers = one.layers.cutoff_layers if isinstance(one.layers, LayerOptions) else one.layers
    return name if layers is None else f"{name}#{'+'.join(map(str, layers if isinstance(layers, tuple) else [layers]))}"
