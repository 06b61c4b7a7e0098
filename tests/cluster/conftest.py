"""Ray on this machine. The tests are skipped where it is not installed: ``make test-ray`` installs it."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

import pytest
from ray_processes import process_ids

if not sys.platform.startswith("linux"):
    pytest.skip("processes are found in /proc", allow_module_level=True)


@pytest.fixture(autouse=True)
def cluster_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let each test start a cluster of its own, which tells nobody of it and writes no key into the home folder."""
    pytest.importorskip("ray", reason="Ray is not installed; make test-ray")
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    yield
    deadline_s = time.monotonic() + 30
    while process_ids("raylet") and time.monotonic() < deadline_s:
        time.sleep(0.2)
