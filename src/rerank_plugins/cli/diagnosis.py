"""What ``doctor`` looks at: each function returns findings and changes nothing."""

from __future__ import annotations

import os
import platform
import urllib.error
import urllib.request
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from rerank_plugins.catalog import ModelSpec, known_models
from rerank_plugins.catalog.plugins import broken_plugins, plugins_of
from rerank_plugins.cli.installed import distributions_of_extras, version_of
from rerank_plugins.errors import RerankPluginsError
from rerank_plugins.scorers import ENTRY_POINT_GROUP as SCORER_GROUP
from rerank_plugins.scorers import load_scorer

__all__ = ["Finding", "find_device", "find_extras", "find_hub", "find_models", "find_plugins", "find_versions"]

_HUB_TIMEOUT_S = 3.0

_PACKAGES = ("rerank-plugins", "torch", "transformers", "tokenizers", "safetensors", "huggingface-hub", "numpy")
_FRAMEWORKS = ("llama-index-core", "langchain-core", "langchain-classic", "FlagEmbedding", "sentence-transformers")

# In the order of usefulness.
_EXTRAS = ("mini", "llamaindex", "langchain", "retrieval", "evaluation", "demo", "telemetry")


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report.

    Attributes:
        name: What was looked at.
        value: What was found.
        state: ``missing`` is worth acting on; ``info`` is neither good nor bad.
        way_out: What to do about it; empty if there is nothing to do.
    """

    name: str
    value: str
    state: Literal["ok", "missing", "info"] = "ok"
    way_out: str = ""


def find_device() -> list[Finding]:
    """Return where models would run, and in which precision."""
    if not _is_installed("torch"):
        return [Finding("torch", "not installed", "missing", "pip install torch")]
    import torch

    from rerank_plugins.engine.device import resolve_device, resolve_dtype

    device = resolve_device(None)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    return [
        Finding("default device", f"{device} ({name})"),
        Finding("default dtype", str(resolve_dtype("auto", device=device)).removeprefix("torch.")),
        Finding("CPU threads", f"{torch.get_num_threads()} of {os.cpu_count()} cores", "info"),
    ]


def find_versions() -> list[Finding]:
    """Return the versions of what this package stands on, and of the frameworks that are here."""
    findings = [Finding("python", f"{platform.python_version()} on {platform.system()}")]
    for name in _PACKAGES:
        found = version_of(name)
        way_out = "" if found else f"pip install {name}"
        findings.append(Finding(name, found or "not installed", "ok" if found else "missing", way_out))
    for name in _FRAMEWORKS:
        found = version_of(name)
        findings.append(Finding(name, found or "not installed", "ok" if found else "info"))
    return findings


def find_extras() -> list[Finding]:
    """Return which optional parts are installed."""
    findings, brought = [], distributions_of_extras()
    for extra in _EXTRAS:
        absent = [name for name in brought.get(extra, ()) if version_of(name) is None]
        if absent:
            command = f"pip install 'rerank-plugins[{extra}]'"
            findings.append(Finding(extra, f"lacks {', '.join(absent)}", "missing", command))
        else:
            findings.append(Finding(extra, "installed"))
    return findings


def find_models() -> list[Finding]:
    """Return which models of the catalog can be used without a download."""
    specs = list(known_models().values())
    findings = [Finding(f"{spec.id} ({spec.kind})", _place(spec)) for spec in specs if _place(spec)]
    n_absent = len(specs) - len(findings)
    findings.append(
        Finding("not on this machine", f"{n_absent} of {len(specs)} catalog models (rerank-plugins models)", "info")
    )
    return findings


def find_plugins() -> list[Finding]:
    """Return the entry points of other packages that cannot be used; empty if all can."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the lines below tell it
        known_models()
        plugins_of(SCORER_GROUP, load_scorer)
    return [
        Finding(one.origin, one.error, "missing", f"upgrade or remove what registers {one.origin}")
        for one in broken_plugins()
    ]


def find_hub() -> list[Finding]:
    """Return whether models could be downloaded; no network is fine."""
    from huggingface_hub import constants

    cache = Finding("cache", f"{constants.HF_HUB_CACHE} (HF_HOME moves it)", "info")
    if constants.HF_HUB_OFFLINE:
        return [Finding("network", "switched off by HF_HUB_OFFLINE; local models work", "info"), cache]
    problem = _problem_of(constants.ENDPOINT)
    if problem is None:
        return [Finding(constants.ENDPOINT, "reachable"), cache]
    value = f"not reachable ({problem}); local models and mini work. HF_ENDPOINT names a mirror"
    return [Finding(constants.ENDPOINT, value, "info"), cache]


def _problem_of(endpoint: str) -> str | None:
    """Return why an address does not answer within the timeout; None if it does, whatever it says."""
    if not endpoint.startswith(("http://", "https://")):
        return "not an http address"
    request = urllib.request.Request(endpoint, method="HEAD")  # noqa: S310 - checked above
    try:
        with urllib.request.urlopen(request, timeout=_HUB_TIMEOUT_S):  # noqa: S310
            return None
    except urllib.error.HTTPError:
        return None
    except (OSError, ValueError) as error:
        return str(getattr(error, "reason", error)) or type(error).__name__


def _place(spec: ModelSpec) -> str:
    """Return where a model's files are on this machine; empty if they are not."""
    folder = _package_folder(spec) if spec.package else _cached_folder(spec)
    return str(folder) if folder is not None and _has_weights(folder) else ""


def _package_folder(spec: ModelSpec) -> Path | None:
    from rerank_plugins.catalog.fetch import folder_from_package

    try:
        return folder_from_package(spec)
    except RerankPluginsError:
        return None


def _cached_folder(spec: ModelSpec) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    config = try_to_load_from_cache(spec.id, "config.json", revision=spec.revision)
    return Path(config).parent if isinstance(config, str) else None


def _has_weights(folder: Path) -> bool:
    return _any_file(folder.glob("*.safetensors")) or _any_file(folder.glob("*.bin"))


def _any_file(paths: Iterable[Path]) -> bool:
    return any(path.is_file() for path in paths)


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False
