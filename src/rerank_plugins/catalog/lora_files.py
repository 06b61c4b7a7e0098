"""LoRA adapters: what ``adapter_config.json`` says, and which of it can be merged here.

The meaning of each setting is peft's (huggingface/peft, ``src/peft/tuners/lora/config.py``), which is not needed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rerank_plugins.catalog.cached import missing_from_adapter
from rerank_plugins.catalog.fetch import folder_from_hub
from rerank_plugins.catalog.fields import ADAPTER, check_fields
from rerank_plugins.catalog.json_files import read_object
from rerank_plugins.catalog.names import existing_folder, looks_like_hub_id
from rerank_plugins.errors import InvalidInputError, ModelUnavailableError, UnsafeModelError, UnsupportedModelError

__all__ = ["ADAPTER_CONFIG", "ADAPTER_WEIGHTS", "LoraFiles", "read_lora_files"]

ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"

_REFUSED = (
    "alora_invocation_tokens",
    "arrow_config",
    "kasa_config",
    "layer_replication",
    "lora_bias",
    "monteclora_config",
    "target_parameters",
    "trainable_token_indices",
    "use_bdlora",
    "use_dora",
    "use_qalora",
    "velora_config",
)
"""Settings under which a layer computes something else than ``W + scale * B A``."""
_PLAIN_MODULE = re.compile(r"\^?\w(?:\.\*|[\w.-]){0,500}")
_CHANGES_BASE = ("pissa", "olora", "corda", "loftq", "lora_ga")
"""Ways to start training that change the base weights too, so that the adapter alone does not say what was trained."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoraFiles:
    """An adapter that can be merged.

    Attributes:
        folder: Where its files are.
        alpha: ``lora_alpha``.
        alpha_pattern: The end of a module's name, whole parts of it, to another alpha. ``^`` in front means all of it,
            ``.*`` stands for anything; no other regular expressions.
        root_scaling: Whether the scale is alpha / sqrt(rank) (``use_rslora``) and not alpha / rank.
    """

    folder: Path
    alpha: float
    alpha_pattern: Mapping[str, float]
    root_scaling: bool

    @property
    def weights(self) -> Path:
        """The file with its matrices."""
        return self.folder / ADAPTER_WEIGHTS

    @property
    def key(self) -> tuple[str, int, int, str]:
        """What tells this adapter from others: folder, size and time of its weights, and its config."""
        stat = self.weights.stat()
        return str(self.folder), stat.st_size, stat.st_mtime_ns, (self.folder / ADAPTER_CONFIG).read_text("utf-8")


def read_lora_files(path: str | Path, *, local_files_only: bool = False) -> LoraFiles:
    """Read a LoRA adapter's config.

    Args:
        path: Its folder on this machine, or its hub id.
        local_files_only: Never touch the network.

    Raises:
        InvalidInputError: ``path`` is not a string or path, or is empty.
        ModelUnavailableError: There is no such folder or repository, or it holds no adapter.
        UnsafeModelError: Its weights are pickled.
        UnsupportedModelError: It is no LoRA, or one that cannot be merged here.
    """
    if not isinstance(path, (str, Path)) or not str(path).strip():
        msg = f"peft_path must be the folder or hub id of a LoRA adapter, got {path!r}"
        raise InvalidInputError(msg)
    folder = existing_folder(path)
    if folder is None and isinstance(path, str) and looks_like_hub_id(path):
        folder = folder_from_hub(
            path, revision=None, local_files_only=local_files_only, kind="adapter", missing=missing_from_adapter
        )
    if folder is None or not (folder / ADAPTER_CONFIG).is_file():
        reason = "is not a folder on this machine" if folder is None else f"has no {ADAPTER_CONFIG}"
        msg = f"peft_path {str(path)!r} {reason}; give the folder that peft's save_pretrained() has written"
        raise ModelUnavailableError(msg)
    config = _config(folder)
    _check(folder, config)
    if not (folder / ADAPTER_WEIGHTS).is_file():
        if (folder / "adapter_model.bin").is_file():
            msg = (
                f"{str(folder)!r} has only pickled weights (adapter_model.bin), and unpickling can run code. Save it "
                "once with peft's save_pretrained(folder, safe_serialization=True)."
            )
            raise UnsafeModelError(msg)
        msg = f"peft_path {str(path)!r} has no {ADAPTER_WEIGHTS}; is it complete?"
        raise ModelUnavailableError(msg)
    return LoraFiles(
        folder=folder,
        alpha=float(config.get("lora_alpha", 8)),
        alpha_pattern=dict(config.get("alpha_pattern") or {}),
        root_scaling=bool(config.get("use_rslora")),
    )


def _config(folder: Path) -> Mapping[str, Any]:
    path = folder / ADAPTER_CONFIG
    config = read_object(path)
    check_fields(config, ADAPTER, path=path)
    return config


def _check(folder: Path, config: Mapping[str, Any]) -> None:
    kind = str(config.get("peft_type") or "nothing")
    start = str(config.get("init_lora_weights", "True")).lower()
    reasons = [name for name in _REFUSED if config.get(name)]
    if config.get("bias", "none") != "none":
        reasons.append(f"bias={config['bias']!r}")
    if start.startswith(_CHANGES_BASE):
        reasons.append(f"init_lora_weights={start!r}")
    # peft takes these names for regular expressions. A file's own could run for ever, so only plain names are read.
    patterns = [name for name in config.get("alpha_pattern", {}) if not _PLAIN_MODULE.fullmatch(name)]
    if patterns:
        reasons.append(f"alpha_pattern={patterns[0][:100]!r}, which is no plain module name")
    if kind != "LORA":
        reasons = [f"peft_type={kind!r}"]
    if reasons:
        msg = (
            f"the adapter in {str(folder)!r} cannot be merged here because of {', '.join(reasons)}: only plain LoRA "
            "can. Merge it once with peft (merge_and_unload(), then save_pretrained()) and pass that folder as model."
        )
        raise UnsupportedModelError(msg)
