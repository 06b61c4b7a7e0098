"""The demonstration: bundled real data, two frameworks, before and after reranking, measured.

Needs ``pip install "rerank-plugins[demo]"``; frameworks are imported on first use.
"""

from __future__ import annotations

from rerank_plugins.demo.choice import ChosenModels, choose_models
from rerank_plugins.demo.session import DemoOptions, DemoResult, run_demo

__all__ = ["ChosenModels", "DemoOptions", "DemoResult", "choose_models", "run_demo"]
