"""A model's files on this machine: a folder, an installed package, or the hub's cache and download."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from rerank_plugins.errors import MissingExtraError, ModelUnavailableError

if TYPE_CHECKING:
    from rerank_plugins.catalog.spec import ModelKind, ModelSpec

__all__ = ["folder_from_hub", "folder_from_package", "looks_like_hub_id"]

logger = logging.getLogger(__name__)

_FILES = ["*.json", "*.txt", "*.model", "*.safetensors"]
_NOT_NEEDED = ["onnx/*", "openvino/*", "*/onnx/*", "*/openvino/*"]
_WAY_OUT = (
    "Ways out: pass a local folder; set HF_ENDPOINT to a mirror that you can reach; download the files "
    "where there is a network and set HF_HOME to that cache (HF_HUB_OFFLINE=1 then stays off the network); "
    "or use the model 'mini', which needs no download (pip install 'rerank-plugins[mini]')."
)


def looks_like_hub_id(name: str) -> bool:
    """Return whether a name is ``organisation/name`` and no path."""
    organisation, slash, rest = name.partition("/")
    return bool(slash and organisation and rest) and "/" not in rest and organisation not in (".", "..", "~")


def folder_from_package(spec: ModelSpec) -> Path:
    """Return the checkpoint folder inside an installed package.

    Raises:
        MissingExtraError: The package is not installed.
    """
    try:
        package = import_module(str(spec.package))
    except ModuleNotFoundError as error:
        msg = f"model {spec.id!r} comes with a package that is not installed: pip install 'rerank-plugins[{spec.id}]'"
        raise MissingExtraError(msg) from error
    getter = package.reranker_path if spec.kind == "reranker" else package.embedder_path
    return Path(getter())


def folder_from_hub(
    repo_id: str, *, revision: str | None, local_files_only: bool, extra_files: Sequence[str] = (), kind: ModelKind
) -> Path:
    """Return the folder of a hub model in the local cache, downloading what is missing.

    Args:
        repo_id: ``organisation/name``.
        revision: Commit, tag or branch; None means ``main``.
        local_files_only: Use the cache alone. ``HF_HUB_OFFLINE`` has the same effect.
        extra_files: Patterns to fetch beside configs, tokenizers and safetensors: pickled weights and
            Python code only where the caller allows them.
        kind: Named in the error.

    Raises:
        ModelUnavailableError: The files could not be had; the message lists the ways out.
    """
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        RepositoryNotFoundError,
    )

    try:
        folder = snapshot_download(
            repo_id,
            revision=revision,
            local_files_only=local_files_only,
            allow_patterns=[*_FILES, *extra_files],
            ignore_patterns=_NOT_NEEDED,
        )
    except GatedRepoError as error:
        reason = "its files are gated: accept its licence on its page and log in (hf auth login)"
        raise _unavailable(repo_id, kind, reason) from error
    except (RepositoryNotFoundError, HFValidationError) as error:
        reason = "there is no such repository, or it is private and you are not logged in"
        raise _unavailable(repo_id, kind, reason) from error
    except (HfHubHTTPError, OSError) as error:
        reason = f"it is not in the local cache and {_hub()} could not be reached ({type(error).__name__})"
        if local_files_only:
            reason = "it is not in the local cache, and local_files_only=True"
        elif constants.HF_HUB_OFFLINE:
            reason = "it is not in the local cache, and the network is switched off (HF_HUB_OFFLINE)"
        raise _unavailable(repo_id, kind, reason) from error
    return Path(folder)


def _hub() -> str:
    return os.environ.get("HF_ENDPOINT", "the Hugging Face hub")


def _unavailable(repo_id: str, kind: ModelKind, reason: str) -> ModelUnavailableError:
    return ModelUnavailableError(f"{kind} {repo_id!r} is not available: {reason}. {_WAY_OUT}")
