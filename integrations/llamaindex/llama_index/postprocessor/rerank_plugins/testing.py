"""The old place of the conformance suites, which are a distribution of their own: ``rerank-plugins-testing``."""

from __future__ import annotations

import warnings

from rerank_plugins.errors import MissingExtraError

try:
    from rerank_plugins_testing.llamaindex import *  # noqa: F403
except ModuleNotFoundError as error:
    told = f"the conformance suites need {error.name!r}, which is not installed"
    msg = f'{told}: pip install "rerank-plugins-testing[llamaindex]"'
    raise MissingExtraError(msg) from error

warnings.warn(
    f"{__name__} is rerank_plugins_testing.llamaindex now, and goes in a later version", DeprecationWarning, 2
)
