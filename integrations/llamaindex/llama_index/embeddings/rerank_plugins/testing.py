"""The old place of the conformance suites, which are a distribution of their own: ``rerank-plugins-testing``."""

from __future__ import annotations

from rerank_plugins.adapters.suites import moved_suites

with moved_suites(__name__, "rerank_plugins_testing.llamaindex", package="rerank-plugins-testing[llamaindex]"):
    from rerank_plugins_testing.llamaindex import *  # noqa: F403
