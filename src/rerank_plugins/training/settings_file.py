"""Settings of a training in a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rerank_plugins.checks.optional import import_extra
from rerank_plugins.errors import InvalidInputError

__all__ = ["read_settings_file"]


def read_settings_file(path: str | Path) -> dict[str, Any]:
    """Return the settings of a YAML file, by name; JSON is YAML too.

    Raises:
        InvalidInputError: It cannot be read, or holds no mapping of names to values.
        MissingExtraError: PyYAML is not installed.
    """
    yaml = import_extra("yaml", extra="train")
    try:
        found = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        msg = f"settings file {str(path)!r} could not be read as YAML ({error})"
        raise InvalidInputError(msg) from error
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found):
        msg = f"settings file {str(path)!r} must hold lines such as 'learning_rate: 2e-5', got {type(found).__name__}"
        raise InvalidInputError(msg)
    return {name: _number_of(value) for name, value in found.items()}


def _number_of(value: Any) -> Any:
    """Return the number that a text such as ``2e-5`` is; YAML 1.1 reads it as a text for want of a point."""
    if not isinstance(value, str) or "e" not in value.lower():
        return value
    try:
        return float(value)
    except ValueError:
        return value
