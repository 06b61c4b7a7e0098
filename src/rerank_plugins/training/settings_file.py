"""Settings of a training in a file."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from rerank_plugins.checks.optional import import_extra
from rerank_plugins.errors import InvalidInputError

__all__ = ["read_settings_file"]


def read_settings_file(path: str | Path) -> dict[str, Any]:
    """Return the settings of a YAML file, by name; JSON is YAML too.

    Raises:
        InvalidInputError: It cannot be read, holds no mapping of names to values, or a name twice.
        MissingExtraError: PyYAML is not installed.
    """
    yaml = import_extra("yaml", extra="train")
    try:
        text = Path(path).read_text(encoding="utf-8")
        found, node = yaml.safe_load(text), yaml.compose(text, Loader=yaml.SafeLoader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        msg = f"settings file {str(path)!r} could not be read as YAML ({error})"
        raise InvalidInputError(msg) from error
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found):
        msg = f"settings file {str(path)!r} must hold lines such as 'learning_rate: 2e-5', got {type(found).__name__}"
        raise InvalidInputError(msg)
    # Of two values YAML keeps the last one.
    names = Counter(str(key.value).replace("-", "_") for key, _ in node.value)
    twice = [name for name, n in names.items() if n > 1]
    if twice:
        msg = f"settings file {str(path)!r} has {', '.join(twice)} more than once; leave one of them"
        raise InvalidInputError(msg)
    quoted = {str(key.value) for key, value in node.value if getattr(value, "style", None) is not None}
    return {name: value if name in quoted else _number_of(value) for name, value in found.items()}


def _number_of(value: Any) -> Any:
    """Return the number that a bare word such as ``2e-5`` is; YAML 1.1 reads it as a text for want of a point."""
    if not isinstance(value, str) or "e" not in value.lower():
        return value
    try:
        return float(value)
    except ValueError:
        return value
