"""What a user typed for a model: a path, a hub id or an alias; and what may have been meant."""

from __future__ import annotations

import re
from difflib import get_close_matches
from pathlib import Path

from rerank_plugins.catalog.plugins import BACKEND_GROUPS
from rerank_plugins.catalog.scorer_traits import LATE_FAMILY, MULTI_VECTOR, traits_of
from rerank_plugins.catalog.spec import ModelKind
from rerank_plugins.catalog.table import find_by_name, specs_of_kind
from rerank_plugins.errors import ModelUnavailableError, UnsupportedModelError

__all__ = [
    "all_known",
    "check_kind",
    "did_you_mean",
    "existing_folder",
    "looks_like_hub_id",
    "nearest_names",
    "not_a_folder",
]

_CLASSES: dict[ModelKind, str] = {"reranker": "Reranker", "embedder": "Embedder"}
_ARTICLE: dict[ModelKind, str] = {"reranker": "a reranker", "embedder": "an embedder"}
_OTHER: dict[ModelKind, ModelKind] = {"reranker": "embedder", "embedder": "reranker"}
_WELL_KNOWN: dict[ModelKind, str] = {"reranker": "BAAI/bge-reranker-v2-m3", "embedder": "BAAI/bge-m3"}
_DRIVE = re.compile(r"[A-Za-z]:")
_BACKEND = re.compile(r"([a-z][a-z0-9_.-]{1,99}):")
"""The name of a backend before its colon, as ``backends/named.py`` allows it; none of this name is registered here."""
_HOW_NEAR, _HOW_NEAR_HUB_IDS = 0.6, 0.8
"""Ratios of difflib."""
_SHOWN_CHARACTERS = 200


def looks_like_hub_id(name: str) -> bool:
    """Return whether a name is ``organisation/name`` and no path."""
    organisation, slash, rest = name.partition("/")
    is_named_so = bool(slash and organisation and rest) and "/" not in rest and ":" not in organisation
    return is_named_so and not _looks_like_path(name)


def existing_folder(name: str | Path) -> Path | None:
    """Return the folder of that name on this machine, absolute; None if there is none, or it cannot be looked at."""
    try:
        folder = Path(name).expanduser()
        return folder.resolve() if folder.is_dir() else None
    except (OSError, ValueError, RuntimeError):  # too long, a null character, a user that is not known
        return None


def check_kind(name: str | Path, *, kind: ModelKind) -> None:
    """Raise if the catalog knows a name as a model of the other kind alone; nothing is fetched.

    Raises:
        UnsupportedModelError: It does.
    """
    other = _OTHER[kind]
    if isinstance(name, Path) or find_by_name(name, kind=kind) is not None:
        return
    found = find_by_name(name, kind=other)
    if found is None or traits_of(found.scorer).is_late_interaction:
        return
    same_family = [spec.id for spec in specs_of_kind(kind) if spec.family == found.family]
    instead = f", or {_ARTICLE[kind]} such as {same_family[0]!r}" if same_family else ""
    if found.scorer == MULTI_VECTOR:
        instead += f"; source=SourceOptions(family={LATE_FAMILY!r}) reranks by its token vectors"
    msg = (
        f"{name!r} is {_ARTICLE[other]}, and {_ARTICLE[kind]} is needed here: use {_CLASSES[other]}({found.id!r})"
        f"{instead}. {all_known(kind)}"
    )
    raise UnsupportedModelError(msg)


def not_a_folder(name: str | Path, *, kind: ModelKind) -> ModelUnavailableError:
    """Return the error for a name that is neither a folder on this machine nor a hub id."""
    shown = repr(str(name)[:_SHOWN_CHARACTERS])
    if _is_file(name):
        msg = f"{kind} {shown} is a file; give the folder that it lies in, the one with config.json"
        return ModelUnavailableError(msg)
    if isinstance(name, Path) or _looks_like_path(name):
        msg = f"{kind} {shown} is a path that does not exist on this machine, or cannot be read"
        if isinstance(name, Path) and _as_hub_id(name):
            msg += f"; for the hub's model of that name pass a str: {_as_hub_id(name)!r}"
        return ModelUnavailableError(msg)
    msg = f"{kind} {shown} is neither a folder on this machine nor a hub id (organisation/name)"
    msg += _no_such_backend(name, kind=kind)
    return ModelUnavailableError(f"{msg}. {did_you_mean(name, kind=kind)}{all_known(kind)}")


def _no_such_backend(name: str, *, kind: ModelKind) -> str:
    """Return what to do about ``name:rest``, whose backend is not registered; empty for any other name."""
    backend = _BACKEND.match(name)
    if backend is None:
        return ""
    as_kind = "" if kind == "reranker" else f", kind={kind!r}"
    return (
        f", and no {kind} backend {backend[1]!r} is registered: install the package that has it (entry point group "
        f"{BACKEND_GROUPS[kind]}), or first call rerank_plugins.backends.named.register_backend({backend[1]!r}, "
        f"opener{as_kind})"
    )


def did_you_mean(name: str, *, kind: ModelKind) -> str:
    """Return the question for the nearest known names, with a space behind it; empty if none is near."""
    near = nearest_names(name, kind=kind)
    return f"Did you mean {' or '.join(map(repr, near))}? " if near else ""


def nearest_names(name: str, *, kind: ModelKind) -> list[str]:
    """Return up to three known ids that are spelt most alike, the nearest first; with or without their organisation."""
    by_spelling: dict[str, str] = {}
    for spec in specs_of_kind(kind):
        for known in (spec.id, *spec.aliases):
            by_spelling.setdefault(known.casefold(), spec.id)
            by_spelling.setdefault(known.rsplit("/", 1)[-1].casefold(), spec.id)
    typed = name.strip().casefold()
    # Organisation and name may be somebody else's model; a name alone was certainly meant to be a known one.
    how_near = _HOW_NEAR_HUB_IDS if "/" in typed else _HOW_NEAR
    found = [by_spelling[typed]] if typed in by_spelling else []
    for part in dict.fromkeys([typed, typed.rsplit("/", 1)[-1]]):
        found += [by_spelling[near] for near in get_close_matches(part, by_spelling, n=5, cutoff=how_near)]
    return list(dict.fromkeys(found))[:3]


def all_known(kind: ModelKind) -> str:
    """Return where all known models of a kind are listed, with one of them."""
    return f"All known ones, such as {_WELL_KNOWN[kind]}: rerank-plugins models --kind {kind}"


def _looks_like_path(name: str) -> bool:
    is_rooted = name.startswith((".", "~", "/")) or _DRIVE.match(name) is not None
    return is_rooted or "\\" in name or name.endswith("/") or name.count("/") > 1


def _is_file(name: str | Path) -> bool:
    try:
        return Path(name).expanduser().is_file()
    except (OSError, ValueError, RuntimeError):
        return False


def _as_hub_id(path: Path) -> str:
    name = path.as_posix()
    is_known = any(find_by_name(name, kind=kind) for kind in _CLASSES)
    return name if is_known or looks_like_hub_id(name) else ""
