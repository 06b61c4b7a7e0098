"""Notes on which checkpoints each comparison opens, for the account in ``account.py``."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import asdict
from typing import Any

import pytest
from account import PROPERTY

from rerank_plugins.catalog.checkpoint import CheckpointFiles

OPENED = pytest.StashKey[set[str]]()


@pytest.fixture(autouse=True)
def _opened(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Note the architecture of every checkpoint that a comparison opens."""
    if request.node.get_closest_marker("parity") is None:
        return
    opened = request.node.stash.setdefault(OPENED, set())
    made = CheckpointFiles.__init__

    def noted(self: CheckpointFiles, **fields: Any) -> None:
        made(self, **fields)
        opened.add(str(self.config.get("model_type") or self.architecture))

    monkeypatch.setattr(CheckpointFiles, "__init__", noted)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, None]:
    """Put the comparison on the report, which reaches the process that counts, wherever the test runs."""
    report = (yield).get_result()
    if call.when == "call" or report.outcome != "passed":
        opened = sorted(item.stash.get(OPENED, ()))
        for mark in item.iter_markers("parity"):
            report.user_properties.append((PROPERTY, {**asdict(mark.args[0]), "opened": opened}))
