"""The suites that are shipped for other people's tests say what they need where pytest is not installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHIPPED = [
    path
    for package in ("integrations/langchain/langchain_rerank_plugins", "integrations/llamaindex/llama_index", "src")
    for path in sorted((ROOT / package).rglob("*.py"))
    if "testing" in path.relative_to(ROOT).as_posix()
]
CODE = """
import importlib, sys
sys.modules["pytest"] = None  # the import system's own way to say that a module is not there
from rerank_plugins.errors import MissingExtraError
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except MissingExtraError as error:
        print(name, "told" if "pip install" in str(error) and "pytest" in str(error) else error)
    except ModuleNotFoundError as error:
        print(name, error)
    else:
        print(name, "works")
"""


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    start = 2 if parts[0] == "integrations" else 1
    return ".".join(parts[start:]).removesuffix(".__init__")


def test_every_shipped_suite_names_pytest() -> None:
    names = [module_name(path) for path in SHIPPED]
    assert len(names) > 10
    pytest.importorskip("langchain_core")
    pytest.importorskip("llama_index.core")
    done = subprocess.run([sys.executable, "-c", CODE, *names], capture_output=True, text=True, check=True)
    lines = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    assert lines.keys() == set(names)
    # Modules without a need of pytest work without it.
    assert set(lines.values()) == {"told", "works"}, lines
    assert lines["rerank_plugins.testing"] == "works"


def test_no_module_outside_the_tests_imports_pytest_by_itself() -> None:
    importing = [
        path.name
        for folder in ("integrations/langchain/langchain_rerank_plugins", "integrations/llamaindex/llama_index", "src")
        for path in (ROOT / folder).rglob("*.py")
        if any(line.strip() == "import pytest" for line in path.read_text(encoding="utf-8").splitlines())
    ]
    assert importing == ["pytest_extra.py"]
