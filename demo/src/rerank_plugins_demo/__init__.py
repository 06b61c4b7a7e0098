"""The demonstration: bundled real data, two frameworks, before and after reranking, measured.

Names are resolved on first use, so that the command line stays light; frameworks are imported when they are used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rerank_plugins_demo.choice import ChosenModels as ChosenModels
    from rerank_plugins_demo.choice import choose_models as choose_models
    from rerank_plugins_demo.session import DemoOptions as DemoOptions
    from rerank_plugins_demo.session import DemoResult as DemoResult
    from rerank_plugins_demo.session import run_demo as run_demo

__all__ = ["ChosenModels", "DemoOptions", "DemoResult", "choose_models", "run_demo"]

_HOME = {
    "ChosenModels": "choice",
    "DemoOptions": "session",
    "DemoResult": "session",
    "choose_models": "choice",
    "run_demo": "session",
}


def __getattr__(name: str) -> object:
    """Import a name's module on first use (PEP 562), or raise AttributeError if there is no such name."""
    if name not in _HOME:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
