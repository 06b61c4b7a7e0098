"""What becomes of a call whose scores come too late, or not at all: an error, or the retrieval order with a mark."""

from __future__ import annotations

import logging
from typing import Literal

from rerank_plugins.errors import DeadlineExceededError, OverloadedError, RemoteError, RemoteUnavailableError

__all__ = ["NOT_IN_TIME", "FallbackReason", "OnDeadline", "fall_back"]

logger = logging.getLogger(__name__)

OnDeadline = Literal["retrieval_order", "raise"]
"""What becomes of a call that is not in time, or that an overloaded model did not take."""

FallbackReason = Literal["deadline", "overloaded", "unavailable"]

_TOO_MANY = 429

NOT_IN_TIME = (DeadlineExceededError, OverloadedError)
"""The errors after which a retrieval order is better than no answer."""


def fall_back(
    error: DeadlineExceededError | OverloadedError, *, on_deadline: OnDeadline, n_documents: int
) -> FallbackReason:
    """Return why documents keep their retrieval order, and log it; or raise ``error`` where that is asked for.

    Args:
        error: What the core raised.
        on_deadline: The action that the adapter was given.
        n_documents: For the log, which has no text of the user's.
    """
    if on_deadline == "raise":
        raise error
    reason: FallbackReason = "deadline" if isinstance(error, DeadlineExceededError) else "overloaded"
    if isinstance(error, RemoteUnavailableError) and error.status != _TOO_MANY:
        reason = "unavailable"
    told = _told(error)
    logger.warning("%d documents were not reranked and keep their retrieval order (%s): %s", n_documents, reason, told)
    return reason


def _told(error: Exception) -> str:
    """Return what a log says of an error: of a service's answer no words, which may repeat the texts that it got."""
    if isinstance(error, RemoteError) and error.status is not None:
        return f"{type(error).__name__}, HTTP {error.status}"
    return str(error)
