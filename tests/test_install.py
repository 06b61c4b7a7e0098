"""README's installation, word by word, in an empty environment; and its examples with what that brought."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
READMES = ("README.md", "README.zh.md")
# Environments lie in folders with a dot.
PAGES = [page for page in sorted(ROOT.rglob("*.md")) if "/." not in page.relative_to(ROOT.parent).as_posix()]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
OURS = (
    *("rerank-plugins", "rerank-plugins-mini", "rerank-plugins-mini-zh"),
    *("langchain-rerank-plugins", "llama-index-postprocessor-rerank-plugins"),
)
LEFT_BEHIND = shutil.ignore_patterns(
    *(".git", ".venv*", "dist", "__pycache__", "tests", "demo-output", ".*_cache", ".hypothesis")
)


def blocks(page: str, *languages: str) -> list[str]:
    found = BLOCK.findall((ROOT / page).read_text(encoding="utf-8"))
    return [body for language, body in found if language in languages]


def install_blocks(page: str) -> list[str]:
    return [body for body in blocks(page, "", "bash", "sh") if "pip install" in body or "pip wheel" in body]


def examples(page: str) -> list[tuple[str, str]]:
    """Python blocks, each with the output that stands below it."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```\n+```text\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


def commands(body: str) -> list[str]:
    return [line.split("#")[0].strip() for line in body.splitlines() if line.split("#")[0].strip()]


@pytest.mark.parametrize("page", READMES)
def test_there_is_something_to_follow(page: str) -> None:
    assert len(install_blocks(page)) == 2
    assert len(examples(page)) == 3
    assert [commands(body) for body in install_blocks(page)] == [commands(body) for body in install_blocks("README.md")]


@pytest.mark.parametrize("page", READMES)
def test_the_first_block_brings_torch_for_the_cpu_and_names_no_host(page: str) -> None:
    lines = commands(install_blocks(page)[0])
    (first,) = [number for number, line in enumerate(lines) if re.search(r"\btorch$", line)]
    assert "--torch-backend cpu" in lines[first]
    assert all("pip install" not in line for line in lines[:first]), "something before it may bring another torch"
    assert not re.search(r"https?:|--(extra-)?index-url|--find-links", "".join(install_blocks(page)))


@pytest.mark.parametrize("page", READMES)
def test_the_torch_that_is_named_is_the_one_that_constraints_allow(page: str) -> None:
    """Another version would be replaced by the next line, and by the build with CUDA."""
    allowed = re.findall(r"^torch==(\S+)$", (ROOT / "constraints.txt").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert re.findall(r"torch==([\d.]+)", (ROOT / page).read_text(encoding="utf-8")) == allowed


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_brackets_of_extras_are_quoted(page: Path) -> None:
    """Zsh takes them for a pattern of file names otherwise."""
    lines = [line for line in page.read_text(encoding="utf-8").splitlines() if "pip install" in line]
    assert not [line for line in lines if re.search(r"(?:^|\s)[\w.-]+\[[\w,]+\]", line.split("pip install")[1])]


@pytest.mark.parametrize("page", READMES)
def test_what_examples_import_is_in_the_metadata(page: str) -> None:
    """The quick half of the test below: every import of an example is a requirement of the extras that are named."""
    pytest.importorskip("langchain_classic")
    named = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    named += "".join(path.read_text(encoding="utf-8") for path in ROOT.glob("integrations/*/pyproject.toml"))
    providers = packages_distributions()
    for body, _ in examples(page):
        tree = ast.parse(body)
        modules = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module]
        for top in {module.split(".")[0] for module in modules} - {"rerank_plugins", "langchain_rerank_plugins"}:
            assert any(f'"{name}' in named for name in providers[top]), f"{top} is not a requirement"
    assert '"langchain-rerank-plugins[classic]"' in named, "README's LangChain example imports langchain_classic"


@pytest.mark.slow
@pytest.mark.timeout(2400)
@pytest.mark.skipif(os.name == "nt", reason="the block is for a POSIX shell")
def test_the_block_works_in_an_empty_environment(tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    shutil.copytree(ROOT, clone, ignore=LEFT_BEHIND)
    from_clone, from_wheels = install_blocks("README.md")
    follow(from_clone, clone)
    check_examples(clone)
    activated = ". .venv/bin/activate\n"
    follow(f"{activated}pip uninstall --yes {' '.join(OURS)} langchain-classic\n{from_wheels}", clone)
    check_examples(clone)


def follow(lines: str, folder: Path) -> None:
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    # The python3 of the block is the one that runs this test.
    kept["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), kept["PATH"]])
    kept |= wheels_for_uv()
    done = subprocess.run(["bash", "-e", "-c", lines], cwd=folder, env=kept, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


def wheels_for_uv() -> dict[str, str]:
    """Let uv, which reads none of pip's settings, take torch from the folder of wheels that pip was told of, if any."""
    command = [sys.executable, "-m", "pip", "config", "get", "global.find-links"]
    told = subprocess.run(command, capture_output=True, text=True).stdout.strip()
    if told and any(Path(told).glob("torch-*+cpu-*.whl")):
        return {"UV_FIND_LINKS": told, "UV_OFFLINE": "1"}
    return {}


def check_examples(clone: Path) -> None:
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"HF_HUB_OFFLINE": "1"}
    for body, expected in examples("README.md"):
        # Isolated, and elsewhere: nothing of the clone may be imported from the clone.
        command = [str(clone / ".venv" / "bin" / "python"), "-I", "-c", body]
        done = subprocess.run(command, cwd=clone.parent, env=kept, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-3000:]
        assert done.stdout == expected
