"""Keeps account of the comparisons that are declared with ``@parity``: which ran, on what, and how they ended."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest
from declared import COMPARISONS, Comparison, Outcome

from rerank_plugins.catalog.checkpoint import CheckpointFiles

OPENED = pytest.StashKey[set[str]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[COMPARISONS] = []


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the account behind everything that it is of."""
    items.sort(key=lambda item: item.name == "test_every_comparison_that_ran_was_one")


@pytest.fixture(autouse=True)
def _opened(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Note the architecture of every checkpoint that a comparison opens."""
    opened = request.node.stash.setdefault(OPENED, set())
    if _comparisons(request.node):
        made = CheckpointFiles.__init__

        def noted(self: CheckpointFiles, **fields: Any) -> None:
            made(self, **fields)
            opened.add(str(self.config.get("model_type") or self.architecture))

        monkeypatch.setattr(CheckpointFiles, "__init__", noted)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, None]:
    report = (yield).get_result()
    if call.when == "call" or report.outcome != "passed":
        opened = frozenset(item.stash.get(OPENED, ()))
        item.config.stash[COMPARISONS] += [
            Outcome(comparison=one, outcome=report.outcome, opened=opened) for one in _comparisons(item)
        ]


def _comparisons(item: Any) -> list[Comparison]:
    return [mark.args[0] for mark in item.iter_markers("parity")]
