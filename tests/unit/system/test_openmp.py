"""In processes of their own, since helpers once started stay."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

TASKS = Path("/proc/self/task")

needs_proc = pytest.mark.skipif(not TASKS.is_dir(), reason="threads are counted in /proc")

IN_BLOCK = """
import os, threading, torch
from rerank_plugins.system.openmp import without_helpers

def n_threads():
    return len(os.listdir("/proc/self/task"))

torch.set_num_threads(3)
with torch.inference_mode():
    before = n_threads()
    elsewhere = []
    with without_helpers():
        rows = torch.ones(512, 512)
        rows = torch.nn.functional.linear(rows, rows)
        other = threading.Thread(target=lambda: elsewhere.append(torch.get_num_threads()))
        other.start()
        other.join()
        print(torch.get_num_threads(), n_threads() - before, *elsewhere)
    print(torch.get_num_threads())
    rows.add_(1)
    print(n_threads() - before)
"""

LOADING = """
import os, sys, torch
from rerank_plugins import Reranker

torch.set_num_threads(int(sys.argv[2]))
before = len(os.listdir("/proc/self/task"))
reranker = Reranker(sys.argv[1])
print(len(os.listdir("/proc/self/task")) - before)
print(torch.get_num_threads())
print(len(reranker.score([("a", "b")])))
"""


def printed(program: str, *arguments: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.split()


@needs_proc
def test_this_thread_alone_has_no_helpers_and_only_for_that_time() -> None:
    assert printed(IN_BLOCK) == ["1", "0", "3", "3", "2"]


@needs_proc
def test_a_load_leaves_no_helpers_behind(checkpoints: Path) -> None:
    """Helpers of the loading thread beside the worker's own made one passage take half as long again."""
    folder = str(checkpoints / "bert-reranker")
    left, threads, scores = printed(LOADING, folder, "3")
    assert (threads, scores) == ("3", "1")
    assert left == printed(LOADING, folder, "1")[0]
