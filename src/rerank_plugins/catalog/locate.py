"""Where the files of a model are: in an installed package, in a folder, or on the hub."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from rerank_plugins.catalog.cached import CachedModel, MissingFiles, missing_from_model
from rerank_plugins.catalog.checkpoint import MULTI_VECTOR_HEADS
from rerank_plugins.catalog.fetch import find_in_cache, folder_from_hub, folder_from_package
from rerank_plugins.catalog.late_formats import M3_PROJECTION
from rerank_plugins.catalog.names import check_kind, did_you_mean, existing_folder, looks_like_hub_id, not_a_folder
from rerank_plugins.catalog.scorer_traits import LATE_FAMILY, LATE_INTERACTION, MULTI_VECTOR
from rerank_plugins.catalog.spec import ModelKind, ModelSpec
from rerank_plugins.errors import ModelUnavailableError
from rerank_plugins.types import SourceOptions

__all__ = ["cached_copy", "locate"]


def locate(model: str | Path, *, listed: ModelSpec | None, kind: ModelKind, options: SourceOptions) -> tuple[Path, str]:
    """Return a model's folder, and what its weights are known by: ``id@revision``, or the folder.

    Args:
        model: What the user typed.
        listed: Its catalog entry; None if it has none.
        kind: What it is needed for.
        options: Where files may come from.

    Raises:
        MissingExtraError: Its package is not installed.
        ModelUnavailableError: The files are not here and could not be fetched.
        UnsupportedModelError: It is of the other kind; nothing was fetched.
    """
    if listed is not None and listed.package is not None:
        folder = folder_from_package(listed)
        return folder, str(folder)
    here = existing_folder(model)
    if here is not None:
        return here, str(here)
    name = str(model) if listed is None else listed.id
    if listed is None:
        check_kind(model, kind=kind)
    if listed is None and (isinstance(model, Path) or not looks_like_hub_id(name)):
        raise not_a_folder(model, kind=kind)
    revision = options.revision or (listed.revision if listed else None)
    try:
        folder = folder_from_hub(
            name,
            revision=revision,
            local_files_only=options.local_files_only,
            kind=kind,
            extra_files=options.extra_files,
            missing=_missing(listed, options),
            aliases=listed.aliases if listed is not None else (),
        )
    except ModelUnavailableError as error:
        question = "" if listed is not None else did_you_mean(name, kind=kind)
        if not question:
            raise
        msg = f"{error} {question.rstrip()}"
        raise ModelUnavailableError(msg) from error.__cause__
    return folder, f"{name}@{revision or folder.name}"


def cached_copy(spec: ModelSpec) -> CachedModel | None:
    """Return what the hub's cache on this machine holds of a listed model, by default options; None for nothing.

    Whatever is whole there is what :func:`locate` would use without asking the network.
    """
    missing = _missing(spec, SourceOptions())
    return find_in_cache(spec.id, revision=spec.revision, kind=spec.kind, missing=missing, aliases=spec.aliases)


def _missing(listed: ModelSpec | None, options: SourceOptions) -> MissingFiles:
    return partial(
        missing_from_model,
        allow_pickle=options.allow_pickle,
        trust_remote_code=options.trust_remote_code,
        heads=_heads(listed),
    )


def _heads(listed: ModelSpec | None) -> tuple[str, ...]:
    """Return the side files that a listed model cannot do without."""
    if listed is None:
        return ()
    if listed.scorer == MULTI_VECTOR:
        return MULTI_VECTOR_HEADS
    # Of BGE-M3 as a reranker; a ColBERT's projection lies in its weights or in a module.
    return (M3_PROJECTION,) if listed.scorer == LATE_INTERACTION and listed.family != LATE_FAMILY else ()
