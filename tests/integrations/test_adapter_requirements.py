"""What the distributions on top of the core say that they need: the core that they were written with."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import rerank_plugins

ROOT = Path(__file__).parents[2]
PROJECTS = sorted([ROOT / "demo" / "pyproject.toml", *ROOT.glob("integrations/*/pyproject.toml")])
OURS = {"rerank-plugins", "rerank-plugins-testing"}


def requirements(project: Path) -> list[Requirement]:
    """Return every requirement that has a version."""
    quoted = re.findall(r'"([\w.-]+(?:\[[\w,-]+\])?[<>=~!][^"]*)"', project.read_text(encoding="utf-8"))
    return [Requirement(one) for one in quoted if not one.startswith("hatchling")]


def lowest() -> dict[str, str]:
    text = (ROOT / "constraints-lowest.txt").read_text(encoding="utf-8")
    return dict(re.findall(r"^([\w.-]+)==(\S+)$", text, flags=re.MULTILINE))


@pytest.mark.parametrize("project", PROJECTS, ids=lambda path: path.parent.name)
def test_the_core_of_this_minor_version_is_needed(project: Path) -> None:
    major, minor, *_ = (int(part) for part in rerank_plugins.__version__.split("."))
    needed = [one for one in requirements(project) if one.name in OURS]
    assert "rerank-plugins" in {one.name for one in needed}
    for one in needed:
        assert one.specifier.contains(rerank_plugins.__version__), one
        assert not one.specifier.contains(f"{major}.{minor + 1}.0"), f"{one} takes a core that may lack what it uses"
        assert minor == 0 or not one.specifier.contains(f"{major}.{minor - 1}.9"), one


@pytest.mark.parametrize("project", PROJECTS, ids=lambda path: path.parent.name)
def test_the_lowest_version_that_is_named_is_the_one_that_is_tested(project: Path) -> None:
    tested = lowest()
    for one in requirements(project):
        if one.name in tested:
            floors = {spec.version for spec in one.specifier if spec.operator == ">="}
            assert any(Requirement(f"x=={floor}").specifier.contains(tested[one.name]) for floor in floors), one


@pytest.mark.parametrize("project", PROJECTS, ids=lambda path: path.parent.name)
def test_all_distributions_have_one_version(project: Path) -> None:
    assert f'version = "{rerank_plugins.__version__}"' in project.read_text(encoding="utf-8")
