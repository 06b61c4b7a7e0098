"""The names of composed rerankers, as the distribution's entry points register them, also where it is not installed."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

import rerank_plugins
from rerank_plugins.backends import named

_PROJECT = Path(rerank_plugins.__file__).parents[2] / "pyproject.toml"


@pytest.fixture(autouse=True)
def names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(named, "_OPENERS", dict(named._OPENERS))
    section = (
        _PROJECT.read_text(encoding="utf-8").split('entry-points."rerank_plugins.rerankers"]\n')[1].split("\n\n")[0]
    )
    for name, module, function in re.findall(r'^(\w+) = "([\w.]+):(\w+)"$', section, flags=re.MULTILINE):
        named.register_backend(name, getattr(import_module(module), function))
