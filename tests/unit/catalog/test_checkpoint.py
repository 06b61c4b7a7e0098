"""What is read from the files of a checkpoint."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rerank_plugins.catalog.checkpoint import CheckpointFiles, read_checkpoint


def written(folder: Path, **config: Any) -> CheckpointFiles:
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return read_checkpoint(folder)


@pytest.mark.parametrize(
    ("model_type", "padding", "length"),
    [
        ("bert", 1, 514),
        ("longformer", 1, 512),
        ("xmod", 1, 512),
        ("data2vec-text", 3, 510),
        # MPNet's module has 1 in its code.
        ("mpnet", 0, 512),
    ],
)
def test_positions_that_are_counted_from_the_padding_id_are_lost(
    tmp_path: Path, model_type: str, padding: int, length: int
) -> None:
    files = written(tmp_path, model_type=model_type, max_position_embeddings=514, pad_token_id=padding)
    assert files.max_length_tokens == length


def test_a_window_of_0_tokens_is_none(tmp_path: Path) -> None:
    assert written(tmp_path, model_type="qwen2_moe", sliding_window=0).config["sliding_window"] == 0
