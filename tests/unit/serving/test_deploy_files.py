"""The examples of deploy/ use options that exist and probes that are open. They are not built here."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from rerank_plugins.cli import app
from rerank_plugins.serving.guard import OPEN_PATHS

FOLDER = Path(__file__).parents[3] / "deploy"
FILES = sorted(FOLDER.iterdir())


def serve_options() -> set[str]:
    root: Any = typer.main.get_command(app)
    return {name for parameter in root.commands["serve"].params for name in parameter.opts}


def test_there_are_examples() -> None:
    assert [file.name for file in FILES] == ["Dockerfile", "compose.yaml", "kubernetes.yaml"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_options_exist(file: Path) -> None:
    found = set(re.findall(r'"(--[a-z-]+)"', file.read_text(encoding="utf-8")))
    assert found
    assert not found - serve_options()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_probes_need_no_key(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert set(re.findall(r"path: (/\w+)|:8000(/\w+)'", text)) <= {(path, "") for path in OPEN_PATHS} | {
        ("", path) for path in OPEN_PATHS
    }


@pytest.mark.parametrize("name", ["compose.yaml", "kubernetes.yaml"])
def test_they_are_yaml(name: str) -> None:
    documents = list(yaml.safe_load_all((FOLDER / name).read_text(encoding="utf-8")))
    assert all(isinstance(document, dict) for document in documents)


def test_the_image_has_what_it_copies() -> None:
    lines = re.findall(r"^COPY (?!--from)(.+) \S+$", (FOLDER / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    assert lines
    assert all((FOLDER.parent / name).exists() for line in lines for name in line.split())
