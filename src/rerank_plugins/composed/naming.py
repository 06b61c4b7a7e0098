"""How a cascade or an ensemble is written as a name: ``cascade:cosine:mini@200,mini@50,300ms``.

A cascade is its stages, separated by commas: ``MODEL[#LAYER][@DEPTH]``, and a last part ``300ms`` for its budget. An
ensemble is its members ``MODEL[#LAYER][*WEIGHT]``, and a last part ``rrf``, ``probability`` or ``logit`` for its
fusion. A model whose own name has a comma stands in parentheses: ``cascade:(ensemble:bm25,cosine:mini)@150,mini``.
What such a name cannot say (calibrations, probabilities, options, folders with a parenthesis that is not closed) is
said by a file, see :mod:`rerank_plugins.composed.files`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, cast

from rerank_plugins.composed.members import Member, Stage
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.reranker import Reranker

__all__ = ["SUFFIXES", "Fusion", "Spelled", "cascade_text", "ensemble_text", "read_cascade", "read_ensemble"]

SUFFIXES = (".json", ".yaml", ".yml", ".toml")
"""How a name ends that is a file's."""

Fusion = Literal["rrf", "probability", "logit"]
"""How the members' opinions are put together, see :class:`~rerank_plugins.composed.ensemble.EnsembleScorer`."""

_STAGE = re.compile(r"(?P<model>.+?)(?:#(?P<layer>\d+))?(?:@(?P<depth>\d+))?")
_MEMBER = re.compile(r"(?P<model>.+?)(?:#(?P<layer>\d+))?(?:\*(?P<weight>\d+(?:\.\d+)?(?:e[+-]?\d+)?))?")
_BUDGET = re.compile(r"(\d+(?:\.\d+)?(?:e[+-]?\d+)?)ms")
_FUSION = re.compile(r"rrf|probability|logit")


@dataclass(frozen=True, slots=True)
class Spelled:
    """A composed model as text.

    Attributes:
        text: For people, and the name if it is whole.
        is_whole: Whether the text says everything, so that it opens the same model again.
    """

    text: str
    is_whole: bool


def read_cascade(text: str) -> tuple[list[Stage], float | None]:
    """Return the stages and the budget in milliseconds that the part after ``cascade:`` names.

    Raises:
        InvalidInputError: It is no such text.
    """
    parts = _parts(text, owner="cascade", form="cascade:MODEL@DEPTH,MODEL@DEPTH[,300ms] or cascade:FILE.yaml")
    budget = _BUDGET.fullmatch(parts[-1])
    stages = []
    for part in parts[:-1] if budget else parts:
        model, layer, depth = _matched(_STAGE, part)
        stages.append(Stage(model, depth and int(depth), layers=layer and int(layer)))  # type: ignore[arg-type]
    return stages, float(budget[1]) if budget else None


def read_ensemble(text: str) -> tuple[list[Member], Fusion | None]:
    """Return the members and the fusion that the part after ``ensemble:`` names; None for no fusion.

    Raises:
        InvalidInputError: It is no such text.
    """
    parts = _parts(text, owner="ensemble", form="ensemble:MODEL,MODEL*0.5[,logit] or ensemble:FILE.yaml")
    fusion = _FUSION.fullmatch(parts[-1])
    members = []
    for part in parts[:-1] if fusion else parts:
        model, layer, weight = _matched(_MEMBER, part)
        members.append(Member(model, float(weight or 1.0), layers=layer and int(layer)))  # type: ignore[arg-type]
    return members, cast("Fusion", fusion[0]) if fusion else None


def cascade_text(stages: Sequence[Stage], *, budget_ms: float | None) -> Spelled:
    """Return a cascade as text."""
    parts = [_text(one, "" if one.depth is None else f"@{one.depth}") for one in stages]
    text = ",".join([*parts, *([] if budget_ms is None else [f"{_digits(budget_ms)}ms"])])
    return Spelled(f"cascade:{text}", _reads_back(text, read_cascade, ([*stages], budget_ms)))


def ensemble_text(members: Sequence[Member], *, fusion: str, is_plain: bool) -> Spelled:
    """Return an ensemble as text; ``is_plain`` says whether its other settings are the usual ones."""
    parts = [_text(one, "" if one.weight == 1.0 else f"*{one.weight!r}") for one in members]
    text = ",".join([*parts, fusion])
    return Spelled(f"ensemble:{text}", is_plain and _reads_back(text, read_ensemble, ([*members], fusion)))


def _reads_back(text: str, read: Callable[[str], object], expected: object) -> bool:
    """Return whether a text says everything: objects, calibrations and options have none, and some names break it.

    A parenthesis in a folder's name that is not closed, or a comma behind one that is closed first, is read as one of
    the text's own; and who reads a name that ends as a file's takes the whole for a file.
    """
    if text.endswith(SUFFIXES):
        return False
    try:
        return read(text) == expected
    except InvalidInputError:
        return False


def _digits(number: float) -> str:
    """Return a number as people write it, with as many digits as it takes to be read back."""
    short = f"{number:g}"
    return short if float(short) == number else repr(float(number))


def _text(one: Stage | Member, suffix: str) -> str:
    model = one.model if isinstance(one.model, str) else _of_object(one.model)
    wrapped = f"({model})" if set(model) & set(",@#*()") else model
    layer = f"#{one.layers}" if isinstance(one.layers, int) else ""
    return f"{wrapped}{layer}{suffix}"


def _of_object(model: object) -> str:
    if isinstance(model, Reranker):
        return model.model
    spec = getattr(model, "spec", None)
    return str(model) if spec is None else str(spec.id)


def _matched(pattern: re.Pattern[str], part: str) -> tuple[str, str | None, str | None]:
    found = pattern.fullmatch(part)
    if found is None:
        msg = f"cannot read {part!r} as a model with a layer, a depth or a weight"
        raise InvalidInputError(msg)
    model, layer, number = found.groups()
    if model.startswith("(") and model.endswith(")"):
        model = model[1:-1]
    return model, layer, number


def _parts(text: str, *, owner: str, form: str) -> list[str]:
    """Return what is between the commas that are in no parentheses."""
    parts, depth = [""], 0
    for letter in text:
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    stripped = [one.strip() for one in parts]
    if not all(stripped) or depth != 0:
        msg = f"{owner}:{text} has an empty part or a parenthesis that is not closed; write {form}"
        raise InvalidInputError(msg)
    return stripped
