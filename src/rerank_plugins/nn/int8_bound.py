"""How near a model's states in 8-bit integers must be to those in float32; the same with torch and without."""

from __future__ import annotations

import logging

import numpy as np
import numpy.typing as npt

__all__ = ["why_too_far"]

logger = logging.getLogger(__name__)

_TOLERANCE = 0.15
"""Largest difference of states in 8 bits, as a share of how far states lie from their mean. In torch it is .036 for
``mini``, .055 for ``mini-zh``, .09 for random weights of MiniLM's shape; in ONNX Runtime, where the widest columns are
not split, .076 for ``mini`` and .087 for ``mini-zh``."""
_TINY = 1e-12


def why_too_far(found: npt.NDArray[np.float32], expected: npt.NDArray[np.float32]) -> str:
    """Return why states in 8 bits cannot stand for those in float32; empty if they can.

    Args:
        found: States in 8 bits. Shape: (tokens, hidden).
        expected: Those of the same tokens in float32. The same shape.
    """
    spread = max(float(np.linalg.norm(expected - expected.mean(axis=0))), _TINY)
    share = float(np.linalg.norm(found - expected)) / spread
    logger.debug("states in 8 bits differ by %.3f of their spread", share)
    # Not the other way round: NaN is not near.
    if share <= _TOLERANCE:
        return ""
    return f"states in 8 bits differ by {share:.0%} from those in float32 on texts tried at load"
