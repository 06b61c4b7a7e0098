"""Every error this package raises on purpose.

::

    RerankPluginsError
    ├── InvalidInputError (also ValueError)      what the caller passed cannot be scored
    │   └── UnknownOptionError (also TypeError)  there is no option of that name
    ├── UnknownAttributeError (also AttributeError) there is no attribute of that name
    ├── NotPicklableError (also TypeError)       the object cannot be made again in another process
    ├── ModelError
    │   ├── UnknownModelError                    neither the catalog nor the config says what it is
    │   ├── ModelUnavailableError                the files are not here and could not be fetched
    │   ├── UnsupportedModelError                the files are here and are not what was asked for
    │   └── UnsafeModelError                     it would need pickle or remote code
    ├── DeviceUnavailableError                   the device asked for is not on this machine
    ├── MissingExtraError (also ImportError)     an optional dependency is not installed
    ├── TrainingError                            a training diverged, or could not save its state
    ├── ScoringError                             the model returned NaN, or a forward failed
    │   └── RemoteError                          a server did not answer, or answered with an error
    ├── OverloadedError                          too much work waits already; try again later
    ├── DeadlineExceededError (also TimeoutError) the call's time was over before its result was there
    └── EngineClosedError                        used after ``close()``

Each message says what happened, what it got, and the way out.
"""

from __future__ import annotations

from typing import Any

from rerank_plugins.display.hidden import visible

__all__ = [
    "DeadlineExceededError",
    "DeviceUnavailableError",
    "EngineClosedError",
    "InvalidInputError",
    "MissingExtraError",
    "ModelError",
    "ModelUnavailableError",
    "NotPicklableError",
    "OverloadedError",
    "RemoteError",
    "RemoteUnavailableError",
    "RerankPluginsError",
    "ScoringError",
    "TrainingError",
    "UnknownAttributeError",
    "UnknownModelError",
    "UnknownOptionError",
    "UnsafeModelError",
    "UnsupportedModelError",
    "VectorStoreError",
]


_LONGEST, _KEPT_END = 4_000, 1_000
"""Characters of a message, and how many of them come from its end, which tells the way out."""


class RerankPluginsError(Exception):
    """Base of every error that this package raises on purpose.

    A message may quote a file, a text or somebody else's error: control characters in it are spelled out, and what is
    longer than anybody reads is cut in the middle.

    Attributes:
        usage: What a call of a reranker had taken that ended with this error, a
            :class:`~rerank_plugins.types.CallUsage`: answers of a chat model or a service that came before it are paid
            for. None if nothing is known.
    """

    usage: Any = None

    def __init__(self, *args: object) -> None:
        super().__init__(*(_shortened(one) if isinstance(one, str) else one for one in args))


class InvalidInputError(RerankPluginsError, ValueError):
    """An argument has the wrong type or a value that cannot work."""


class UnknownOptionError(InvalidInputError, TypeError):
    """A call names an option that there is none of, or passes by place what must be named."""


class UnknownAttributeError(RerankPluginsError, AttributeError):
    """An object has no attribute of that name; ``hasattr`` is False for it."""


class NotPicklableError(RerankPluginsError, TypeError):
    """An object cannot be pickled, because nothing says how to make it again elsewhere."""


class ModelError(RerankPluginsError):
    """A model could not be resolved or loaded."""


class UnknownModelError(ModelError):
    """Neither the catalog nor the checkpoint's own files say how to use the model."""


class ModelUnavailableError(ModelError):
    """The model's files are not on this machine and could not be fetched."""


class UnsupportedModelError(ModelError):
    """The files were read, and they are not what was asked for (two labels, no head, wrong kind)."""


class UnsafeModelError(ModelError):
    """Loading would unpickle weights or run code from the checkpoint, and that was not allowed."""


class DeviceUnavailableError(RerankPluginsError):
    """The device asked for does not exist on this machine."""


class MissingExtraError(RerankPluginsError, ImportError):
    """An optional dependency is needed; the message names the extra that installs it."""


class ScoringError(RerankPluginsError):
    """A forward pass failed or returned NaN or infinity."""


class RemoteError(ScoringError):
    """A server did not answer, or answered with an error.

    Attributes:
        status: HTTP status of the answer; None if there was none.
        is_passing: Whether the same request may succeed later: a time-out, too many requests, a broken connection.
        is_reached: False if nobody took the connection.
        retry_after_s: Seconds that the server asked to wait; None if it did not say.
    """

    def __init__(
        self,
        *args: object,
        status: int | None = None,
        is_passing: bool = False,
        is_reached: bool = True,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(*args)
        self.status, self.is_passing, self.is_reached = status, is_passing, is_reached
        self.retry_after_s = retry_after_s


class TrainingError(RerankPluginsError):
    """A training diverged, or could not save its state; what was saved before is intact."""


class VectorStoreError(RerankPluginsError):
    """Token vectors on disk are damaged, incomplete, or of another model."""


class OverloadedError(RerankPluginsError):
    """More tokens wait for the model than the call allows to stand in front of it; it was not queued."""


class RemoteUnavailableError(RemoteError, OverloadedError):
    """A server does not answer, or takes no more requests, and may later; what could be tried was tried."""


class DeadlineExceededError(RerankPluginsError, TimeoutError):
    """The call's deadline passed before its result was there; what had not run was dropped."""


class EngineClosedError(RerankPluginsError):
    """The object was used after ``close()``."""


def _shortened(message: str) -> str:
    spelled = visible(message)
    if len(spelled) <= _LONGEST:
        return spelled
    cut = " [...] "
    # Exactly _LONGEST characters, so that a copy or an unpickled error is not cut once more.
    return spelled[: _LONGEST - _KEPT_END - len(cut)] + cut + spelled[-_KEPT_END:]
