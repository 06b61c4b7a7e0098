"""The account of a session's comparisons: one that ran, but did not pass on its family's architecture, fails it.

The reports of all processes come together where this plugin runs; ``tests/conftest.py`` registers it.
"""

from __future__ import annotations

from typing import Any

import pytest

__all__ = ["PROPERTY", "Account"]

PROPERTY = "parity"
"""Name of the property of a test's report that says what it compared."""


class Account:
    """Counts the comparisons of a session."""

    def __init__(self) -> None:
        self._reported: list[tuple[str, dict[str, Any]]] = []
        self._wanting: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take down what a test compared."""
        self._reported += [(report.outcome, value) for name, value in report.user_properties if name == PROPERTY]

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fail the session if a comparison was none."""
        if not self._reported or hasattr(session.config, "workerinput"):
            return
        # Here, since it needs transformers, which most sessions load anyway and some do without.
        from declared import Outcome, families_compared, not_compared

        outcomes = [Outcome.reported(outcome, value) for outcome, value in self._reported]
        for entry, ran in not_compared(families_compared(), outcomes).items():
            found = {f"{one.outcome} on {', '.join(sorted(one.opened)) or 'nothing'}" for one in ran}
            self._wanting.append(f"{entry}: {'; '.join(sorted(found))}")
        if self._wanting:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Say which."""
        if self._wanting:
            terminalreporter.section("no comparison passed on the architecture of", red=True)
            terminalreporter.write_line("\n".join(self._wanting))
