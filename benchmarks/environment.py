"""What the numbers depend on: hardware, versions, commit, date, and what else the machine did."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from rerank_plugins.nn.int8 import has_int8_products

__all__ = ["NO_BF16", "NO_INT8", "available_cores", "cpu_flags", "describe", "has_bf16", "has_int8"]

NO_BF16 = "this CPU has no bf16 instructions"
NO_INT8 = "this CPU has no instructions for products of 8-bit integers"

_PACKAGES = (
    "rerank-plugins",
    "torch",
    "transformers",
    "tokenizers",
    "sentence-transformers",
    "FlagEmbedding",
    "BCEmbedding",
    "onnxruntime",
    "openvino",
    "FlashRank",
    "numpy",
)
_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8", "amx_fp16", "asimd", "sve", "bf16")
_BF16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}  # the last is ARM's
_CPU_INFO = Path("/proc/cpuinfo")


def available_cores() -> int:
    """Return the CPU cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cpu_flags() -> list[str]:
    """Return the instruction sets that matter here; empty where the system does not tell."""
    if not _CPU_INFO.is_file():
        return []
    found = re.search(r"^(?:flags|Features)\s*:\s*(.*)$", _CPU_INFO.read_text(encoding="utf-8"), flags=re.MULTILINE)
    present = set(found.group(1).split()) if found else set()
    return [flag for flag in _FLAGS if flag in present]


def has_bf16() -> bool:
    """Return whether the CPU multiplies bf16 matrices in hardware."""
    return bool(_BF16_FLAGS & set(cpu_flags()))


def has_int8() -> bool:
    """Return whether the CPU multiplies 8-bit integers in hardware, and torch lets it."""
    return has_int8_products()


def describe(*, threads: int) -> dict[str, Any]:
    """Return everything about this machine and checkout that a reader of the numbers needs."""
    return {
        "cpu": _cpu_name(),
        "cores": available_cores(),
        "threads": threads,
        "cpu_flags": cpu_flags(),
        "bf16_in_hardware": has_bf16(),
        "torch_cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "memory_gb": _memory_gb(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in _PACKAGES},
        "commit": _git("rev-parse", "HEAD"),
        "uncommitted_changes": bool(_git("status", "--porcelain", "--untracked-files=no")),
        "date_utc": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M:%S"),
        "load_average_1_5_15": [round(value, 2) for value in os.getloadavg()] if hasattr(os, "getloadavg") else None,
    }


def _cpu_name() -> str:
    if _CPU_INFO.is_file():
        text = _CPU_INFO.read_text(encoding="utf-8")
        fields = dict(re.findall(r"^(model name|cpu family|model)\s*:\s*(.*)$", text, flags=re.MULTILINE))
        if "model name" in fields:
            return f"{fields['model name']} (family {fields.get('cpu family')}, model {fields.get('model')})"
    return platform.processor() or platform.machine()


def _memory_gb() -> float | None:
    if not hasattr(os, "sysconf"):
        return None
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _git(*arguments: str) -> str | None:
    folder = Path(__file__).parent
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
