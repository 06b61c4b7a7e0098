"""Arrows point down: a module may import only from layers below its own."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import rerank_plugins

ROOT = Path(rerank_plugins.__file__).parent

# Lowest first; modules on one line may import each other only within their own folder.
LAYERS = [
    {"display"},
    {"errors"},
    {"checks", "system"},
    {"types"},
    {"protocols", "inputs", "calibration"},
    {"catalog", "nn"},
    {"text"},
    {"ranking"},
    {"engine", "graphs", "weights"},
    {"scorers", "remote"},
    {"embedding", "chat"},
    {"backends"},
    {"calls"},
    {"reranker", "embedder"},
    {"telemetry", "testing", "retrieval"},
    {"composed"},
    {"adapters"},
    {"evaluation"},
    {"reports"},
    {"training", "serving", "bulk"},
    {"cli"},
    {"__main__"},
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
MODULES = sorted(path for path in ROOT.rglob("*.py") if path != ROOT / "__init__.py")


@cache
def imported_rooms(path: Path) -> frozenset[str]:
    rooms: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
            if node.module == "rerank_plugins":
                names = [f"rerank_plugins.{alias.name}" for alias in node.names]
        rooms |= {name.split(".")[1] for name in names if name.startswith("rerank_plugins.")}
    return frozenset(rooms)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_imports_point_down(path: Path) -> None:
    room = path.relative_to(ROOT).parts[0].removesuffix(".py")
    assert room in LEVEL, f"{room} has no place in LAYERS; decide where it belongs"
    # The package root gives __version__ and the facades to whoever is above them.
    allowed = {name for name, level in LEVEL.items() if level < LEVEL[room]} | {room}
    upward = {name for name in imported_rooms(path) - allowed if name in LEVEL}
    assert not upward, f"{path.relative_to(ROOT)} imports {sorted(upward)} from above or beside"


ABOVE = (
    "langchain_classic",
    "langchain_core",
    "langchain_rerank_plugins",
    "llama_index",
    "rerank_plugins_demo",
    "rerank_plugins_testing",
)
"""What stands on the core. It may name them in sentences for people, and nowhere else."""


def named_modules(path: Path) -> set[str]:
    """Return what is imported, and every string that could be a module: in a call, a table, or an entry point."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            # Of an f-string this is the part in front of what is put in.
            names |= {node.value} if re.fullmatch(r"[A-Za-z_][\w.]*(:\w+)?", node.value) else set()
    return names


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_name_of_what_stands_above_is_imported_or_kept_as_a_string(path: Path) -> None:
    names = named_modules(path)
    assert not {name for name in names if name.split(".")[0].split(":")[0] in ABOVE}
    room = path.relative_to(ROOT).parts[0].removesuffix(".py")
    named = {name.split(":")[0].split(".")[1] for name in names if name.startswith("rerank_plugins.")}
    upward = {name for name in named if name in LEVEL and LEVEL[name] > LEVEL[room]}
    assert not upward, f"{path.relative_to(ROOT)} names {sorted(upward)} from above in a string"


def test_strings_that_name_modules_are_seen(tmp_path: Path) -> None:
    source = """
\"\"\"langchain_core\"\"\"
import_module("llama_index.core")
TABLE = {"reports": "rerank_plugins.reports.page"}
import_module(f"rerank_plugins.cli.{name}")
ENTRY = "rerank_plugins_demo.command:demo"
HINT = "the compressor is in langchain_rerank_plugins"
"""
    (tmp_path / "module.py").write_text(source, encoding="utf-8")
    assert named_modules(tmp_path / "module.py") == {
        "llama_index.core",
        "reports",
        "rerank_plugins.reports.page",
        "rerank_plugins.cli.",
        "rerank_plugins_demo.command:demo",
    }


def test_scorers_alone_are_built_from_nn() -> None:
    """The command line alone looks at it, too: ``doctor`` tells which products and kernels this machine has."""
    users = {path.relative_to(ROOT).parts[0] for path in MODULES if "nn" in imported_rooms(path)}
    assert users == {"cli", "nn", "scorers"}


def test_entry_points_of_the_core_are_its_own() -> None:
    project = (ROOT.parents[1] / "pyproject.toml").read_text(encoding="utf-8")
    points = re.findall(r"^[\w-]+ = \"([\w.]+):\w+\"$", project, flags=re.MULTILINE)
    assert points
    assert all(point.split(".")[0] == "rerank_plugins" for point in points)


def test_the_root_imports_no_adapter_and_no_pydantic() -> None:
    names = ("rerank_plugins.adapters", "pydantic")
    code = f"import rerank_plugins, sys; print(*[name for name in {names!r} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == []


HEAVY = ("torch", "transformers", "tokenizers", "llama_index", "langchain_core", "numpy", "huggingface_hub")


@pytest.mark.parametrize("statement", ["import rerank_plugins", "from rerank_plugins.catalog import known_models"])
def test_importing_the_package_is_light(statement: str) -> None:
    code = f"{statement}; import sys; print(*[name for name in {HEAVY!r} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == []


def test_transformers_is_imported_when_a_model_is_loaded() -> None:
    """It takes seconds, and it cannot be imported at all where a variable of huggingface_hub's is broken."""
    modules = ", ".join(
        f"rerank_plugins.{name}" for name in ("reranker", "embedder", "retrieval", "adapters.retrievers", "cli")
    )
    code = f"import sys, {modules}; print(*[name for name in {HEAVY!r} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"transformers", "huggingface_hub"} & set(result.stdout.split())


def test_all_lists_exactly_the_public_names() -> None:
    assert rerank_plugins.__all__ == sorted(rerank_plugins.__all__)
    for name in rerank_plugins.__all__:
        assert getattr(rerank_plugins, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Rerank'"):
        _ = rerank_plugins.Rerank  # type: ignore[attr-defined]


def test_source_has_no_assert_print_or_pickle() -> None:
    for path in MODULES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            assert not isinstance(node, ast.Assert), path
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in {"print", "eval", "exec"}, path
            if isinstance(node, ast.Import):
                assert not {alias.name for alias in node.names} & {"pickle", "joblib"}, path
