"""Models of an evaluation read texts as they were trained, unless an option says otherwise."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from rich.progress import Progress

from rerank_plugins.evaluation.grid.model_pool import ModelPool
from rerank_plugins.evaluation.grid.plan import ModelChoice

SETTINGS = "config_sentence_transformers.json"


@pytest.fixture
def pool(tmp_path: Path) -> ModelPool:
    return ModelPool(tmp_path / "pool", device="cpu", progress=Progress(disable=True))


@pytest.mark.parametrize(
    ("option", "found"),
    [
        ("", ("find: ", "text: ")),
        ("?query_instruction=look: ", ("look: ", "text: ")),
        ("?query_instruction=&document_instruction=", ("", "")),
    ],
)
def test_an_embedders_instructions(
    checkpoints: Path, tmp_path: Path, pool: ModelPool, option: str, found: tuple[str, str]
) -> None:
    folder = shutil.copytree(checkpoints / "bert-embedder", tmp_path / "own")
    (folder / SETTINGS).write_text(json.dumps({"prompts": {"query": "find: ", "document": "text: "}}))
    with pool:
        instruction = pool.embedder(ModelChoice.parse(f"{folder}{option}")).instruction
        assert (instruction.query, instruction.document) == found


@pytest.mark.parametrize(("option", "found"), [("", "find "), ("?prompt=look ", "look ")])
def test_a_rerankers_instruction(
    bert_reranker_folder: Path, tmp_path: Path, pool: ModelPool, option: str, found: str
) -> None:
    folder = shutil.copytree(bert_reranker_folder, tmp_path / "own")
    (folder / SETTINGS).write_text(json.dumps({"pair_instructions": {"query": "find "}}))
    with pool:
        assert pool.reranker(ModelChoice.parse(f"{folder}{option}")).spec.query_prefix == found
