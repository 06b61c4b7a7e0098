"""Reads numbers out of the answers of services: each text's own, whatever the order, or an error."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Mapping
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from rerank_plugins.errors import RemoteError

__all__ = ["count_at", "listed_vectors", "member_at", "numbered_scores", "numbered_vectors"]

_Vectors = npt.NDArray[np.float32]


def member_at(found: Any, path: str) -> Any:
    """Return the member at a path such as ``output.results``; None if there is none, the whole for an empty path."""
    for name in path.split(".") if path else ():
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def count_at(found: Any, *paths: str) -> int:
    """Return the first count that is there, 0 if none is."""
    for path in paths:
        value = member_at(found, path)
        if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 2**53:
            return int(value)
    return 0


def numbered_scores(found: Any, n: int, *, service: str, rows: str, score: str) -> list[float]:
    """Return one finite score per text, in the order of the texts.

    Args:
        found: The answer.
        n: Texts.
        service: Who answered, for messages.
        rows: Path of the list of results; empty for the answer itself.
        score: Name of the score in a result, which says its text's place in ``index``.

    Raises:
        RemoteError: A text has no score, two, or one that is no number.
    """
    scores = []
    for member in _numbered(found, n, service=service, rows=rows):
        value = member.get(score)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not _is_finite(value):
            _refuse(service, f"a score that is no finite number ({type(value).__name__})")
        scores.append(float(value))
    return scores


def numbered_vectors(found: Any, n: int, *, service: str) -> _Vectors:
    """Return one vector per text out of OpenAI's form, numbers or base64; see :func:`numbered_scores`."""
    members = _numbered(found, n, service=service, rows="data")
    return listed_vectors([member.get("embedding") for member in members], n, service=service)


def listed_vectors(found: Any, n: int, *, service: str) -> _Vectors:
    """Return one vector per text out of a list in the order of the texts.

    Returns:
        Shape: (n, dimensions), float32.

    Raises:
        RemoteError: There are more or fewer, of different lengths, or with members that are no finite numbers.
    """
    if not isinstance(found, list) or len(found) != n:
        _refuse(service, f"{len(found) if isinstance(found, list) else 'no list of'} vectors for {n} texts")
    try:
        with np.errstate(over="ignore"):  # what float32 has no place for becomes infinity, and is refused as such
            rows = np.array([_vector(one) for one in found], dtype=np.float32)
    except (TypeError, ValueError, OverflowError):
        _refuse(service, "vectors of different lengths, or of something else than numbers")
    if rows.ndim != 2 or not rows.shape[1] or not np.isfinite(rows).all():
        _refuse(service, "vectors that are empty or hold NaN or infinity")
    return rows


def _vector(found: Any) -> Any:
    if isinstance(found, str):
        try:
            return np.frombuffer(base64.b64decode(found, validate=True), dtype="<f4")
        except binascii.Error as error:
            raise ValueError from error
    if not isinstance(found, list) or not all(type(one) in (int, float) for one in found):
        raise TypeError
    return found


def _numbered(found: Any, n: int, *, service: str, rows: str) -> list[Mapping[str, Any]]:
    """Return one member per text, by their ``index``."""
    members = member_at(found, rows)
    if not isinstance(members, list):
        _refuse(service, f"JSON without a list {rows!r}" if rows else "JSON that is no list")
    placed: dict[int, Mapping[str, Any]] = {}
    for member in members:
        index = member.get("index") if isinstance(member, Mapping) else None
        if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < n:
            _refuse(service, f"a result whose index is none of {n} texts")
        if index in placed:
            _refuse(service, f"two results for index {index}")
        placed[index] = member
    if len(placed) < n:
        _refuse(service, f"{len(placed)} results for {n} texts")
    return [placed[index] for index in range(n)]


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer of hundreds of digits
        return False


def _refuse(service: str, what: str) -> NoReturn:
    # Status 200: the server is there, and asking again would not help.
    msg = f"{service} answered with {what}; check that the address is one of this service, and the model's name"
    raise RemoteError(msg, status=200)
