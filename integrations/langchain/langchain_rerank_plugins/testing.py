"""The old place of the conformance suites, which are a distribution of their own: ``rerank-plugins-testing``."""

from __future__ import annotations

from rerank_plugins.adapters.suites import moved_suites

with moved_suites(__name__, "rerank_plugins_testing.langchain", package="rerank-plugins-testing[langchain]"):
    from rerank_plugins_testing.langchain import *  # noqa: F403
