"""Real words for the workloads and tokenizers: the sample that is bundled with the demo."""

from __future__ import annotations

import json
from functools import lru_cache
from importlib import resources

__all__ = ["passages", "queries"]

_ENGLISH = ("scifact", "medquad", "tatqa")


@lru_cache
def passages() -> tuple[str, ...]:
    """Return the English passages of the bundled sample."""
    return tuple(text for folder in _ENGLISH for text in _texts(folder, "corpus.jsonl"))


@lru_cache
def queries() -> tuple[str, ...]:
    """Return the English queries of the bundled sample."""
    return tuple(text for folder in _ENGLISH for text in _texts(folder, "queries.jsonl"))


def _texts(folder: str, name: str) -> list[str]:
    file = resources.files("rerank_plugins_demo") / "sample" / folder / name
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    return [" ".join(f"{row.get('title', '')} {row['text']}".split()) for row in rows]
