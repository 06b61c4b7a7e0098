"""Memory of one batch serves the next: it is not given back to the system in between."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import textwrap

import pytest

pytestmark = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="another C library gives memory back by other rules"
)

PROGRAM = """
    import resource
    from rerank_plugins import Reranker

    reranker = Reranker("mini", dtype="int8")
    pairs = [("how much bamboo does a panda eat", "bamboo " * (10 + 37 * number % 300)) for number in range(60)]
    for _ in range(3):
        reranker.score(pairs)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(3):
        reranker.score(pairs)
    print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) // 3)
"""


def test_a_batch_uses_the_memory_of_the_one_before() -> None:
    pytest.importorskip("rerank_plugins_mini")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PROGRAM)], capture_output=True, text=True, check=True, env=kept
    )
    # Some 10,000 where each layer asks the system for its pages.
    assert int(result.stdout) < 1000, result.stdout
