"""Files of a checkpoint that are there by name only: told, never taken for files that are not there."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import tiny_checkpoints

from rerank_plugins import Embedder, Reranker
from rerank_plugins.errors import UnsupportedModelError

NAMES = (
    "config.json",
    "config_sentence_transformers.json",
    "modules.json",
    "sentence_bert_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
)
KINDS: dict[str, Callable[[Path], None]] = {
    "dangling link": lambda path: path.symlink_to("../../blobs/0123"),
    "loop": lambda path: path.symlink_to(path.name),
    "folder": lambda path: path.mkdir(),
    "pipe": os.mkfifo if hasattr(os, "mkfifo") else lambda path: path.mkdir(),
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", NAMES)
def test_a_name_without_a_file_is_told(tmp_path: Path, name: str, kind: str) -> None:
    opened: list[tuple[Path, Callable[[Path], object]]] = [
        (tiny_checkpoints.bert_reranker(tmp_path / "reranker"), Reranker),
        (tiny_checkpoints.bert_embedder(tmp_path / "embedder", pooling="mean"), Embedder),
    ]
    for folder, load in opened:
        (folder / name).unlink(missing_ok=True)
        KINDS[kind](folder / name)
        with pytest.raises(UnsupportedModelError, match=rf"{name}' is (a link that leads to no|no plain) file"):
            load(folder)


def test_a_link_to_a_file_is_one(tmp_path: Path) -> None:
    folder = tiny_checkpoints.bert_embedder(tmp_path / "embedder", pooling="mean")
    expected = Embedder(folder).embed_queries(["a cat"])
    for path in [path for path in folder.rglob("*") if path.is_file()]:
        blob = tmp_path / f"{len(list(tmp_path.iterdir()))}.blob"
        path.rename(blob)
        path.symlink_to(blob)
    assert (Embedder(folder).embed_queries(["a cat"]) == expected).all()
