"""Limits that somebody wrote into a saved retriever are checked before anything is opened, in both frameworks."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("llama_index.core")
pytest.importorskip("langchain_core")
pytest.importorskip("bm25s")

import langchain_rerank_plugins as lc
import llama_index.retrievers.rerank_plugins as li

from rerank_plugins.errors import InvalidInputError

TEXTS = ["a red fox", "pandas eat", "pandas"]
LOADS: dict[str, Callable[[Path], Any]] = {
    "langchain, first stage": lc.FirstStageRetriever.load,
    "langchain, two stages": lc.TwoStageRetriever.load,
    "llamaindex, first stage": li.FirstStageRetriever.from_persist_dir,
    "llamaindex, two stages": li.TwoStageRetriever.from_persist_dir,
}


def saved(way: str, folder: Path) -> Path:
    if way.startswith("langchain"):
        return lc.TwoStageRetriever.from_documents(TEXTS, retriever="bm25", reranker=None, top_n=2).save(folder)
    return li.TwoStageRetriever.from_documents(TEXTS, retriever="bm25", reranker=None, top_n=2).persist(folder)


def change(folder: Path, keys: list[str], value: Any) -> None:
    settings = json.loads((folder / "retriever.json").read_text(encoding="utf-8"))
    *path, last = keys
    inner = settings
    for key in path:
        inner = inner[key]
    inner[last] = value
    (folder / "retriever.json").write_text(json.dumps(settings), encoding="utf-8")


@pytest.mark.parametrize("way", LOADS)
@pytest.mark.parametrize("value", [0, -1, "many", [], None, True, 2.5])
def test_a_number_of_candidates_that_cannot_be(way: str, value: Any, tmp_path: Path) -> None:
    folder = saved(way, tmp_path / "saved")
    LOADS[way](folder)
    change(folder, ["selection", "top_k"], value)
    with pytest.raises(InvalidInputError, match=r"'.*saved' holds broken settings"):
        LOADS[way](folder)


@pytest.mark.parametrize("way", [one for one in LOADS if "two" in one])
@pytest.mark.parametrize("value", [0, -1, "many", [], True, 2.5])
def test_a_number_of_results_that_cannot_be(way: str, value: Any, tmp_path: Path) -> None:
    folder = saved(way, tmp_path / "saved")
    change(folder, ["attached", "settings", "top_n"], value)
    with pytest.raises(InvalidInputError, match=r"'.*saved' holds broken settings"):
        LOADS[way](folder)
