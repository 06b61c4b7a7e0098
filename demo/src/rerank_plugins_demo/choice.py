"""Real weights where they can be had, the bundled ones elsewhere: how every notebook of this project starts."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal, get_args

from rerank_plugins.catalog.fetch import folder_from_hub
from rerank_plugins.catalog.names import check_kind
from rerank_plugins.catalog.spec import ModelKind
from rerank_plugins.catalog.table import find_by_id
from rerank_plugins.errors import InvalidInputError, ModelUnavailableError

__all__ = ["CHOICE_VARIABLE", "ChosenModels", "choose_models"]

CHOICE_VARIABLE = "RERANK_PLUGINS_MODELS"
"""Environment variable: ``mini`` keeps to the bundled models, ``hub`` takes the named ones, ``auto`` looks."""

Bundled = Literal["mini", "mini-zh"]

_TIMEOUT_S = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenModels:
    """Which models a notebook uses; shown as a sentence.

    Attributes:
        reranker: Name for ``Reranker`` and the adapters.
        embedder: Name for ``Embedder`` and the adapters.
        reason: Why these.
    """

    reranker: str
    embedder: str
    reason: str

    @property
    def are_mini(self) -> bool:
        """Whether bundled models stand in."""
        return self.reranker in get_args(Bundled)

    def __str__(self) -> str:
        return f"Reranker {self.reranker}, embedder {self.embedder}: {self.reason}."

    def __repr__(self) -> str:
        return str(self)


def choose_models(
    reranker: str = "BAAI/bge-reranker-v2-m3", embedder: str = "BAAI/bge-small-en-v1.5", *, bundled: Bundled = "mini"
) -> ChosenModels:
    """Return the named models if both can be had, else the bundled ones.

    A model can be had if its files are in the cache, or the hub answers within three seconds; it is loaded
    later. The environment variable ``RERANK_PLUGINS_MODELS`` decides without looking: ``mini`` or ``hub``.

    Args:
        reranker: Hub id.
        embedder: Hub id.
        bundled: The models that stand in: ``mini`` reads English, ``mini-zh`` Chinese and English.

    Raises:
        InvalidInputError: The environment variable has another value than ``auto``, ``mini`` and ``hub``.
        UnsupportedModelError: One is known as a model of the other kind.
    """
    kinds: tuple[tuple[str, ModelKind], ...] = ((reranker, "reranker"), (embedder, "embedder"))
    for name, kind in kinds:
        check_kind(name, kind=kind)
    asked = os.environ.get(CHOICE_VARIABLE, "auto")
    if asked not in ("auto", "mini", "hub"):
        msg = f"{CHOICE_VARIABLE} must be auto, mini or hub, got {asked!r}"
        raise InvalidInputError(msg)
    if asked == "hub":
        return ChosenModels(reranker=reranker, embedder=embedder, reason=f"asked for by {CHOICE_VARIABLE}")
    absent = [name for name, kind in kinds if asked == "mini" or not _can_be_had(name, kind)]
    if not absent:
        return ChosenModels(reranker=reranker, embedder=embedder, reason="their weights are at hand")
    reason = f"the bundled models stand in for {reranker} and {embedder}"
    return ChosenModels(reranker=bundled, embedder=bundled, reason=reason)


def _can_be_had(name: str, kind: ModelKind) -> bool:
    listed = find_by_id(name, kind=kind)
    revision = None if listed is None else listed.revision
    try:
        folder = folder_from_hub(name, revision=revision, local_files_only=True, kind=kind)
    except ModelUnavailableError:
        return _hub_has(name)
    return any(folder.glob("*.safetensors")) or _hub_has(name)


def _hub_has(name: str) -> bool:
    """Return whether the hub answers for a model; no answer, whatever the reason, is a no."""
    from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    if constants.HF_HUB_OFFLINE:
        return False
    # huggingface_hub 1 raises httpx's errors for a network that is not there, earlier versions requests'.
    try:
        from httpx import HTTPError
    except ModuleNotFoundError:
        from requests import RequestException as HTTPError  # type: ignore[assignment]
    try:
        get_hf_file_metadata(hf_hub_url(name, "config.json"), timeout=_TIMEOUT_S)
    except (HfHubHTTPError, HFValidationError, HTTPError, OSError):
        return False
    return True
