"""Memory of a process, and measuring in a fresh one: what ran before must not count."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Mapping
from itertools import accumulate
from pathlib import Path
from typing import Any

from torch.profiler import ProfilerActivity, profile

__all__ = ["ChildFailedError", "in_child", "peak_mb", "reset_peak", "resident_mb", "tensor_peak_mb"]

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")
_RESET_PEAK = "5"
_ROOT = Path(__file__).parent.parent


class ChildFailedError(Exception):
    """A measurement in a process of its own failed; the text is the last line it wrote."""


def resident_mb() -> float:
    """Return the memory this process occupies now, in MB."""
    return _status_mb("VmRSS") if _STATUS.is_file() else peak_mb()


def peak_mb() -> float:
    """Return the most memory this process has occupied since it started, or since :func:`reset_peak`, in MB."""
    if _STATUS.is_file():
        return _status_mb("VmHWM")
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used / 2**20 if sys.platform == "darwin" else used / 2**10


def reset_peak() -> bool:
    """Let the peak start from the present; return False where the system cannot (only Linux can)."""
    try:
        _CLEAR.write_text(_RESET_PEAK, encoding="ascii")
    except OSError:
        return False
    return True


def tensor_peak_mb(task: Callable[[], object]) -> float:
    """Return how much memory the tensors that a task makes take when it is most, in MB.

    What the task runs in other threads is not seen. Memory that was freed and that the C library's allocator keeps
    counts in :func:`peak_mb` and not here.
    """
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        task()
    found = profiler.profiler.kineto_results.events()
    events: list[tuple[int, int]] = sorted(
        (event.start_ns(), event.nbytes()) for event in found if event.name() == "[memory]"
    )
    return max(accumulate((n_bytes for _, n_bytes in events), initial=0)) / 2**20


def in_child(job: str, arguments: Mapping[str, Any], *, threads: int, returns_memory: bool = False) -> dict[str, Any]:
    """Run a job of :mod:`benchmarks.child` in a fresh Python and return what it measured.

    Args:
        job: Its name.
        arguments: What it wants to know.
        threads: OpenMP threads of that process.
        returns_memory: Whether glibc shall give every large piece of memory back to the system when it is freed, and
            keep none: then the peak is what was in use. Other C libraries pay no attention.

    Raises:
        ChildFailedError: It ended with an error, or was killed.
    """
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    if returns_memory:
        environment["MALLOC_MMAP_THRESHOLD_"] = "65536"
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.child", job, json.dumps(dict(arguments))],
        capture_output=True,
        text=True,
        cwd=_ROOT,
        env=environment,
        check=False,
    )
    if done.returncode != 0:
        said = (done.stderr.strip() or f"exit status {done.returncode}").splitlines()[-1]
        raise ChildFailedError(said[:300])
    measured: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return measured


def _status_mb(field: str) -> float:
    for line in _STATUS.read_text(encoding="ascii").splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) / 1024
    msg = f"/proc/self/status has no {field}"
    raise LookupError(msg)
