"""Environment variables that huggingface_hub reads once, when it is imported, and does not check.

With ``HF_HUB_DOWNLOAD_TIMEOUT=x`` its import fails, and with it that of transformers; with ``-1`` every request does.
Reference: huggingface_hub ``constants.py``.
"""

from __future__ import annotations

import os

from rerank_plugins.errors import InvalidInputError

__all__ = ["check_hub_settings"]

_TIMEOUTS = ("HF_HUB_ETAG_TIMEOUT", "HF_HUB_DOWNLOAD_TIMEOUT")
_MOST_SECONDS = 1_000_000
"""No system counts a timeout in more than some 292 years; eleven days are enough for a download."""


def check_hub_settings() -> None:
    """Raise InvalidInputError, which names the variable, if huggingface_hub cannot be imported or used with one."""
    try:
        from huggingface_hub import constants
    except ValueError as error:
        broken = [name for name in _TIMEOUTS if not _is_whole(os.environ.get(name))]
        if not broken:
            raise
        raise _wrong(broken[0], os.environ[broken[0]]) from error
    for name in _TIMEOUTS:
        if not 0 <= getattr(constants, name, 0) <= _MOST_SECONDS:
            raise _wrong(name, getattr(constants, name))


def _is_whole(value: str | None) -> bool:
    try:
        int("0" if value is None else value)
    except ValueError:
        return False
    return True


def _wrong(name: str, value: object) -> InvalidInputError:
    return InvalidInputError(
        f"the environment variable {name}={value!r} must be a whole number of seconds, 0 to {_MOST_SECONDS:,}; "
        "correct it or unset it, and start Python again: huggingface_hub reads it once"
    )
