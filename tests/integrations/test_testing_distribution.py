"""The conformance suites are a distribution of their own; their old places say so, and what to install."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("langchain_core")
pytest.importorskip("llama_index.core")

ROOT = Path(__file__).parents[2]
RUNTIME = ("src", "integrations/langchain/langchain_rerank_plugins", "integrations/llamaindex/llama_index")
OLD = {
    "langchain_rerank_plugins.testing": ("langchain", "CompressorConformance"),
    "llama_index.postprocessor.rerank_plugins.testing": ("llamaindex", "PostprocessorConformance"),
    "llama_index.embeddings.rerank_plugins.testing": ("llamaindex", "EmbeddingConformance"),
}
CODE = """
import importlib, sys
sys.modules["rerank_plugins_testing"] = None  # the import system's own way to say that a module is not there
from rerank_plugins.errors import MissingExtraError
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except MissingExtraError as error:
        print(error)
"""


@pytest.mark.parametrize("name", OLD)
def test_an_old_place_gives_the_suites_and_says_that_it_goes(name: str) -> None:
    framework, suite = OLD[name]
    sys.modules.pop(name, None)
    with pytest.warns(DeprecationWarning, match=f"rerank_plugins_testing.{framework}") as told:
        old = importlib.import_module(name)
    assert len(told) == 1
    new = importlib.import_module(f"rerank_plugins_testing.{framework}")
    assert getattr(old, suite) is getattr(new, suite)
    assert all(hasattr(old, one) for one in new.__all__)


@pytest.mark.slow
def test_old_places_say_what_to_install() -> None:
    done = subprocess.run([sys.executable, "-c", CODE, *OLD], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert len(lines) == len(OLD)
    for line, (framework, _) in zip(lines, OLD.values(), strict=True):
        assert f'pip install "rerank-plugins-testing[{framework}]"' in line


def test_no_suite_and_no_pytest_in_what_is_installed_to_run() -> None:
    for folder in RUNTIME:
        for path in (ROOT / folder).rglob("*.py"):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            names = [node.name for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
            assert not [name for name in names if name.startswith("test_")], path
            imported = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
            assert "pytest" not in imported, path
