"""Another package's entry points that are broken in every way: named, skipped, told, and everything else works."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

BROKEN = {
    "absent": "import a_module_that_is_not_there",
    "raises": "raise RuntimeError('at\\nimport')",
    "syntax": "def broken(:",
    "exits": "raise SystemExit(3)",
    "native": "class PanicException(BaseException): pass\nraise PanicException('rust')",
    "number": "MODELS = 3",
    "nothing": "MODELS = None",
    "names": "MODELS = ['BAAI/bge-m3']",
    "no_name": "OTHER = 1",
    "call_raises": "def MODELS(): raise ValueError('called')",
    "known": "from rerank_plugins.catalog.families import RERANKERS\nMODELS = [RERANKERS[0]]",
    "lazy": "def MODELS():\n    yield 1\n    raise OSError('half way')",
}
GOOD = """
from dataclasses import replace
from rerank_plugins.catalog.families import RERANKERS
MODELS = [replace(RERANKERS[0], id="other/reranker", aliases=())]
"""


def package(folder: Path, name: str, source: str, *, group: str) -> None:
    """Install a package as pip would: a module, and metadata with an entry point."""
    (folder / f"plugin_{name}.py").write_text(source)
    metadata = folder / f"plugin_{name}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: plugin-{name}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[{group}]\n{name} = plugin_{name}:MODELS\n")


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path, "COLUMNS": "300"}
    return subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, text=True)


def test_models_that_cannot_be_registered_are_skipped_one_by_one(tmp_path: Path) -> None:
    pytest.importorskip("rerank_plugins_mini")
    for name, source in BROKEN.items():
        package(tmp_path, name, source, group="rerank_plugins.models")
    package(tmp_path, "good", GOOD, group="rerank_plugins.models")
    code = (
        "from rerank_plugins.catalog import known_models, find_by_name\n"
        "known_models(); assert find_by_name('other/reranker', kind='reranker')\n"
        "from rerank_plugins import Reranker\n"
        "print(Reranker('mini').rank('panda', ['a car', 'a panda'])[0].index)"
    )
    done = run(tmp_path, "-c", code)
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr
    for name in BROKEN:
        assert done.stderr.count(f"package plugin-{name}") == 1, name
    assert "package plugin-good" not in done.stderr


@pytest.mark.slow
def test_doctor_lists_what_was_skipped(tmp_path: Path) -> None:
    for name, source in BROKEN.items():
        package(tmp_path, name, source, group="rerank_plugins.models")
    package(tmp_path, "scorer", "raise SystemExit(3)", group="rerank_plugins.scorers")
    done = run(tmp_path, "-m", "rerank_plugins", "doctor")
    assert done.returncode == 0, done.stderr
    assert all(f"package plugin-{name}" in done.stdout for name in [*BROKEN, "scorer"])


def test_a_scorer_that_cannot_be_loaded_is_a_typed_error(tmp_path: Path) -> None:
    for name in ("raises", "exits", "number"):
        package(tmp_path, name, BROKEN[name], group="rerank_plugins.scorers")
        code = (
            "from rerank_plugins.scorers import scorer_loader\n"
            "from rerank_plugins.errors import UnsupportedModelError\n"
            f"try: scorer_loader({name!r})\n"
            "except UnsupportedModelError as error: print(error)"
        )
        done = run(tmp_path, "-c", code)
        assert f"plugin-{name}" in done.stdout, done.stderr
