"""The page that helps to choose: what is generated is current, what is written by hand names what exists."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from rerank_plugins.catalog import find_by_name, known_models

DOCS = Path(__file__).parents[1] / "docs"
PAGE = (DOCS / "choosing-a-model.md").read_text(encoding="utf-8")
CLASS = re.compile(r"`((?:Bge|Bce|Qwen)?\w*Rerank(?:Postprocessor|Compressor))\b")


@pytest.fixture
def refresh() -> ModuleType:
    spec = importlib.util.spec_from_file_location("refresh", DOCS / "refresh.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_tables_are_current(refresh: ModuleType) -> None:
    assert refresh.refreshed(PAGE) == PAGE, "the catalog has changed: run python docs/refresh.py"


def test_models_are_listed_fastest_first(refresh: ModuleType) -> None:
    shown = refresh.catalog_page([spec for spec in known_models().values() if spec.kind == "reranker"])
    assert "## Rerankers" in shown
    assert "## Embedders" not in shown
    rows = [line for line in shown.splitlines() if line.startswith("| `")]
    assert len(rows) == len([spec for spec in known_models().values() if spec.kind == "reranker"])
    work = [float(row.split(" | ")[3]) for row in rows if row.split(" | ")[3] != "?"]
    assert work == sorted(work)


def test_a_page_without_the_mark_is_refused(refresh: ModuleType) -> None:
    with pytest.raises(ValueError, match="has no line"):
        refresh.refreshed("# Choosing\n")


def test_the_models_and_classes_named_by_hand_exist() -> None:
    written = PAGE.split("<!-- Below", 1)[0]
    for name in re.findall(r"`([A-Za-z0-9]+/[\w.-]+)`", written):
        assert find_by_name(name, kind="reranker") or find_by_name(name, kind="embedder"), name
    llama_index = pytest.importorskip("llama_index.postprocessor.rerank_plugins")
    langchain = pytest.importorskip("langchain_rerank_plugins")
    named = set(CLASS.findall(written))
    assert len(named) >= 14
    for name in named:
        assert hasattr(llama_index if name.endswith("Postprocessor") else langchain, name), name
