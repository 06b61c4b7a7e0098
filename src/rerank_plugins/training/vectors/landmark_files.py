"""The landmark in a saved embedder: the token in its vocabulary, its name in ``config.json``."""

from __future__ import annotations

import json
from pathlib import Path

from tokenizers import Tokenizer

from rerank_plugins.catalog.conventions import LANDMARK_KEY

__all__ = ["add_token", "name_landmark"]


def add_token(path: Path, token: str) -> None:
    """Add a special token to a ``tokenizer.json``, if it is not there."""
    tokenizer = Tokenizer.from_file(str(path))
    if tokenizer.token_to_id(token) is None:
        tokenizer.add_special_tokens([token])
        tokenizer.save(str(path))


def name_landmark(config: Path, token: str) -> None:
    """Write into a ``config.json`` that sentences of documents end in a landmark."""
    content = json.loads(config.read_text(encoding="utf-8"))
    config.write_text(json.dumps({**content, LANDMARK_KEY: token}, indent=2) + "\n", encoding="utf-8")
