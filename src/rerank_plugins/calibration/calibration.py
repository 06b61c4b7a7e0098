"""A calibration: a monotone map from raw scores to probabilities, its origin, and its file format."""

from __future__ import annotations

import json
import math
import warnings
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from rerank_plugins.calibration.threshold import FittedThreshold
from rerank_plugins.checks.arguments import checked_call, checked_fields
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.system.files import write_atomically
from rerank_plugins.types import BLANK_DOCUMENT_SCORE

__all__ = ["Calibration", "CalibrationMethod", "CalibrationMismatchWarning", "ScoreSource"]

CalibrationMethod = Literal["platt", "isotonic"]

_SCHEMA = "rerank-plugins/calibration"
_SCHEMA_VERSION = 1

# Settings that make a score mean something else; the others only change how much of a text is read.
_DECISIVE = ("prompt", "layers", "peft_path")


class CalibrationMismatchWarning(UserWarning):
    """Warns that a calibration is used with other settings than those it was made with."""


@checked_fields()
@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreSource:
    """The origin of scores: a model, its revision, and the settings that change scores.

    Attributes:
        model: Hub id, alias, or a folder's own name; None if it is not known.
        revision: Commit on the hub; None if it is not known.
        settings: Name to JSON value.
    """

    model: str | None = None
    revision: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    @checked_call()
    def check_against(self, used: ScoreSource) -> None:
        """Raise or warn if scores have another origin than those that were calibrated.

        Another model, revision, LoRA adapter, prompt or layer is an error: its scores mean something else. Any other
        setting that differs (``max_length``, ``truncation``, ``long_documents``...) is a warning: the scale is the
        same, but another part of the text was read. Values that are not known here are not compared.

        Raises:
            InvalidInputError: The sources are different models, revisions, adapters, prompts or layers.
        """
        pairs: list[tuple[str, Any, Any]] = [("model", self.model, used.model)]
        pairs += [("revision", self.revision, used.revision)] if used.revision else []
        different = [(name, mine, theirs) for name, mine, theirs in pairs if mine not in (None, theirs)]
        changed = [
            (name, value, used.settings[name])
            for name, value in self.settings.items()
            if name in used.settings and used.settings[name] != value
        ]
        refused = different + [one for one in changed if one[0] in _DECISIVE]
        if refused:
            name, mine, theirs = refused[0]
            msg = (
                f"this calibration was made with {name}={mine!r} and is used with {name}={theirs!r}; calibrate again "
                "with what you use, or use what it was made with"
            )
            raise InvalidInputError(msg)
        if changed:
            differences = ", ".join(f"{name}={mine!r} (now {theirs!r})" for name, mine, theirs in changed)
            msg = f"this calibration was made with {differences}; its probabilities may be off, so calibrate again"
            warnings.warn(msg, CalibrationMismatchWarning, stacklevel=4)


@checked_fields()
@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """A non-decreasing map from raw scores to probabilities of relevance.

    Attributes:
        method: ``platt`` or ``isotonic``.
        parameters: For ``platt`` one pair (slope, intercept). For ``isotonic`` pairs (score, probability)
            with scores ascending, between which the map is linear and beyond which it is level.
        n_pairs: Labelled pairs that it was fitted on.
        n_relevant: Relevant ones among them.
        source: What made the scores.
        thresholds: Thresholds fitted on the same pairs, in raw scores.
    """

    method: CalibrationMethod
    parameters: tuple[tuple[float, float], ...]
    n_pairs: int
    n_relevant: int
    source: ScoreSource = field(default_factory=ScoreSource)
    thresholds: tuple[FittedThreshold, ...] = ()

    def __post_init__(self) -> None:
        numbers = [number for pair in self.parameters for number in pair]
        scores = [score for score, _ in self.parameters]
        values = [value for _, value in self.parameters]
        fits = {
            "platt": len(self.parameters) == 1 and scores[0] > 0.0,
            "isotonic": len(self.parameters) > 1
            and scores == sorted(set(scores))
            and values == sorted(values)
            and 0.0 <= values[0] <= values[-1] <= 1.0,
        }
        if not fits.get(self.method, False) or not all(math.isfinite(number) for number in numbers):
            msg = f"these are no parameters of a {self.method!r} calibration; fit it with fit_calibration"
            raise InvalidInputError(msg)

    @checked_call()
    def probability(self, score: float) -> float:
        """Return the probability of a raw score; exactly 0.0 for a blank document's.

        Raises:
            InvalidInputError: The score is NaN.
        """
        if math.isnan(score):
            msg = "a score is NaN and has no probability"
            raise InvalidInputError(msg)
        if score <= BLANK_DOCUMENT_SCORE:
            return 0.0
        if self.method == "platt":
            slope, intercept = self.parameters[0]
            return 0.5 * (1.0 + math.tanh(0.5 * (slope * score + intercept)))
        return self._interpolated(score)

    @checked_call()
    def with_threshold(self, threshold: FittedThreshold) -> Calibration:
        """Return a copy that also carries a threshold fitted on the same pairs."""
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        return Calibration(**{**values, "thresholds": (*self.thresholds, threshold)})

    @checked_call()
    def save(self, path: str | Path) -> Path:
        """Write the calibration as JSON and return the path.

        The file holds numbers, the model's name and settings, and no text of any query or document.

        Raises:
            InvalidInputError: The file cannot be written, or a threshold is infinite.
        """
        path = Path(path)
        content = {"schema": _SCHEMA, "version": _SCHEMA_VERSION, **asdict(self)}
        try:
            data = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False).encode() + b"\n"
        except (TypeError, ValueError) as error:
            msg = (
                f"this calibration holds what its file cannot ({error}); thresholds must be finite, and its source's "
                "settings plain values"
            )
            raise InvalidInputError(msg) from error
        write_atomically(path, data)
        return path

    @classmethod
    @checked_call()
    def load(cls, path: str | Path) -> Calibration:
        """Read a calibration that :meth:`save` wrote.

        Raises:
            InvalidInputError: The file cannot be read, is something else, or is of a later version.
        """
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8-sig"))
        except (OSError, ValueError, RecursionError) as error:  # ValueError: also a number of more than 4,300 digits
            msg = f"calibration {str(path)!r} could not be read ({error}); make one with rerank-plugins calibrate"
            raise InvalidInputError(msg) from error
        if not isinstance(content, dict) or content.get("schema") != _SCHEMA:
            msg = f"{str(path)!r} is not a calibration file; make one with rerank-plugins calibrate"
            raise InvalidInputError(msg)
        if content.get("version") != _SCHEMA_VERSION:
            msg = (
                f"{str(path)!r} has version {content.get('version')!r} of the calibration format, this release reads "
                f"{_SCHEMA_VERSION}; calibrate again, or upgrade rerank-plugins"
            )
            raise InvalidInputError(msg)
        try:
            return _from_content(content)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            msg = f"{str(path)!r} is a damaged calibration file ({error}); calibrate again"
            raise InvalidInputError(msg) from error

    def _interpolated(self, score: float) -> float:
        place = bisect_right(self.parameters, score, key=lambda pair: pair[0])
        if place == 0:
            return self.parameters[0][1]
        if place == len(self.parameters):
            return self.parameters[-1][1]
        (x0, y0), (x1, y1) = self.parameters[place - 1], self.parameters[place]
        # Rounding must not go beyond the next knot, or the map would decrease there.
        return min(y0 + (y1 - y0) * (score - x0) / (x1 - x0), y1)


def _from_content(content: Mapping[str, Any]) -> Calibration:
    return Calibration(
        method=content["method"],
        parameters=tuple((float(x), float(y)) for x, y in content["parameters"]),
        n_pairs=int(content["n_pairs"]),
        n_relevant=int(content["n_relevant"]),
        source=_source_from(content["source"]),
        thresholds=tuple(FittedThreshold(**{**one, "value": float(one["value"])}) for one in content["thresholds"]),
    )


def _source_from(content: Mapping[str, Any]) -> ScoreSource:
    source = ScoreSource(**content)
    if not isinstance(source.settings, dict):
        msg = f"its settings are {type(source.settings).__name__}"
        raise TypeError(msg)
    return source
