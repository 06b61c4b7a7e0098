"""Cascades and ensembles in a file: JSON, YAML or TOML.

::

    budget_ms: 300
    stages:
      - {model: "cosine:mini", depth: 1000}
      - {model: mini, depth: 50, min_probability: 0.02, calibration: mini.json, max_length: 256}

An ensemble has ``members``, each with a ``weight``, and ``fusion``, ``k``, ``bias``. ``layers`` is the number of a
layer. Whatever else stands beside a model is an option of ``Reranker``. A path that exists beside the file is meant
from there.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rerank_plugins.checks.kinds import shown
from rerank_plugins.checks.optional import import_extra
from rerank_plugins.composed.members import Member, Stage
from rerank_plugins.composed.naming import SUFFIXES, read_cascade, read_ensemble
from rerank_plugins.errors import InvalidInputError

__all__ = ["read_composed"]

_PARTS = {"cascade": "stages", "ensemble": "members"}

_OWNERS: Mapping[str, tuple[type[Any], tuple[str, ...]]] = {
    "stages": (Stage, ("model", "depth", "layers", "calibration", "min_probability")),
    "members": (Member, ("model", "weight", "layers", "calibration")),
}


def read_composed(path: str | Path, *, what: str, settings: tuple[str, ...]) -> tuple[list[Any], dict[str, Any]]:
    """Return the models and the settings that a file describes.

    Args:
        path: The file; its suffix says the format.
        what: ``stages`` or ``members``.
        settings: Names that may stand beside them.

    Raises:
        InvalidInputError: The file cannot be read, says something else, or names itself, by way of others too.
    """
    source = Path(path).expanduser()
    content = _content(source)
    unknown = sorted(set(content) - {what, *settings}, key=str) if isinstance(content, dict) else []
    listed = content.get(what) if isinstance(content, dict) else None
    if unknown or not isinstance(listed, list) or not all(isinstance(one, dict) and "model" in one for one in listed):
        names = f"{what} (a list of mappings, each with a model) and at most {', '.join(settings)}"
        found = f"{unknown[0]!r}" if unknown else shown(content)
        msg = f"{str(source)!r} must hold {names}; got {found}"
        raise InvalidInputError(msg)
    made = [_made(one, what, source.parent) for one in listed]
    _check_ends(source, [one.model for one in made])
    return made, {name: value for name, value in content.items() if name != what}


def _check_ends(source: Path, models: Sequence[object]) -> None:
    """Refuse a file that is one of its own parts. What else is wrong with the others is told when they are opened."""
    waiting, seen = list(models), set[Path]()
    while waiting:
        head, _, rest = str(waiting.pop()).partition(":")
        if head not in _PARTS:
            continue
        if not rest.endswith(SUFFIXES):
            waiting += _named_by(head, rest)
            continue
        path = Path(rest).expanduser().resolve()
        if path == source.resolve():
            msg = (
                f"{str(source)!r} names itself as one of its {_PARTS[head]}, by way of others or at once; leave it out"
            )
            raise InvalidInputError(msg)
        if path not in seen:
            seen.add(path)
            waiting += _named_in(path, _PARTS[head])


def _named_by(head: str, text: str) -> list[object]:
    try:
        parts: Sequence[Stage | Member] = (read_cascade if head == "cascade" else read_ensemble)(text)[0]
    except InvalidInputError:
        return []
    return [one.model for one in parts]


def _named_in(path: Path, what: str) -> list[object]:
    try:
        content = _content(path)
    except InvalidInputError:
        return []
    listed = content.get(what) if isinstance(content, dict) else None
    return [one.get("model") for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []


def _made(values: Mapping[str, Any], what: str, folder: Path) -> Any:
    owner, names = _OWNERS[what]
    known = {name: _beside(name, value, folder) for name, value in values.items() if name in names}
    model = known.pop("model")
    return owner(model, **known, options={name: value for name, value in values.items() if name not in names})


def _beside(name: str, value: Any, folder: Path) -> Any:
    """Return a path as it is meant: from the file's own folder, where it exists there."""
    if name in ("model", "calibration") and isinstance(value, str) and not Path(value).is_absolute():
        place = folder / value
        return str(place) if place.exists() else value
    return value


def _content(source: Path) -> Any:
    try:
        text = source.read_text(encoding="utf-8-sig")
        if source.suffix == ".json":
            return json.loads(text)
        return _toml(text) if source.suffix == ".toml" else _yaml(text)
    except (OSError, ValueError, RecursionError) as error:
        msg = f"{str(source)!r} could not be read ({error}); it must be a file in JSON, YAML or TOML"
        raise InvalidInputError(msg) from error


def _yaml(text: str) -> Any:
    yaml = import_extra("yaml", extra="train")
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(error) from error


def _toml(text: str) -> Any:
    if sys.version_info >= (3, 11):
        import tomllib

        return tomllib.loads(text)
    msg = "Python 3.10 reads no TOML; write the file as JSON or YAML"
    raise InvalidInputError(msg)
