"""What went wrong on the way to the hub, in words: its client raises errors of four libraries, and the system's."""

from __future__ import annotations

import errno
from collections.abc import Iterator

__all__ = ["is_final", "why_not_fetched"]

_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
_SAYS_DISK_FULL = "No space left on device"
_NO_REPOSITORY = "there is no such repository, or it is private and you are not logged in"
_REASONS = {
    "GatedRepoError": "its files are gated: accept its licence on its page and log in (hf auth login)",
    "DisabledRepoError": "the hub has disabled its repository",
    "RevisionNotFoundError": "its repository has no such revision; leave revision out, or choose another",
    "RepositoryNotFoundError": _NO_REPOSITORY,
    "HFValidationError": _NO_REPOSITORY,
    "RemoteEntryNotFoundError": "its repository has no longer a file that it lists; choose another revision",
}
_STATUS = {
    401: "log in: hf auth login",
    403: "access is denied: log in with an account that may read it (hf auth login)",
    404: "it has no such file",
    407: "the proxy wants a login",
    429: "too many requests; try again later",
}
_DETAIL_CHARACTERS = 200


def is_final(error: Exception) -> bool:
    """Return whether the hub answered that what is asked for does not exist, so that an old copy must not stand in."""
    return any(_is_called(one, "RevisionNotFoundError") for one in _chain(error))


def why_not_fetched(error: Exception, *, place: str, hub: str, cache: str) -> str:
    """Return the reason in words.

    Args:
        error: What the client raised.
        place: What the local cache has of the model, in words.
        hub: Where it was asked for.
        cache: The cache's folder.
    """
    chain = list(_chain(error))
    for one in chain:
        reason = _disk_trouble(one, cache)
        if reason:
            return reason
    for name, reason in _REASONS.items():
        if any(_is_called(one, name) for one in chain):
            return reason
    for one in chain:
        status = getattr(getattr(one, "response", None), "status_code", None)
        if isinstance(status, int):
            hint = f" ({_STATUS[status]})" if status in _STATUS else ""
            return f"{place}, and its files could not be reached: {hub} answered with status {status}{hint}"
    detail = " ".join(str(chain[-1]).split())[:_DETAIL_CHARACTERS]
    names = " from ".join(dict.fromkeys(type(one).__name__ for one in (chain[0], chain[-1])))
    return f"{place} and {hub} could not be reached ({names})" + (f": {detail}" if detail else "")


def _disk_trouble(error: BaseException, cache: str) -> str:
    number = error.errno if isinstance(error, OSError) else None
    if number in _DISK_FULL or _SAYS_DISK_FULL in str(error):
        return f"the disk is full where the cache is ({cache}); make room, or set HF_HOME to a folder on another disk"
    # Errors of the network name no file.
    if isinstance(error, OSError) and error.filename is not None and not isinstance(error, FileNotFoundError):
        return (
            f"the cache cannot be written ({type(error).__name__}: {error.filename}); set HF_HOME to a folder that "
            "you may write to"
        )
    return ""


def _is_called(error: BaseException, name: str) -> bool:
    return any(cls.__name__ == name for cls in type(error).__mro__)


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        yield one
        one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)
