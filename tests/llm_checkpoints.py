"""The tiny LLM rerankers of the goldens, readable on every supported version of ``tokenizers``."""

from __future__ import annotations

import json
import shutil
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Any

import tokenizers

GOLDENS = Path(__file__).parent / "parity" / "goldens"
_LISTS_OF_PAIRS_SINCE = (0, 20)


@lru_cache
def llm_checkpoint(name: str) -> Path:
    """Return a committed checkpoint; for ``tokenizers`` below 0.20 a copy with BPE merges as "a b" strings.

    The published models' files have the older form; the committed ones were saved with 0.20.3.
    """
    folder = GOLDENS / "checkpoints" / name
    if tuple(int(part) for part in tokenizers.__version__.split(".")[:2]) >= _LISTS_OF_PAIRS_SINCE:
        return folder
    copy = shutil.copytree(folder, Path(tempfile.mkdtemp(prefix="rerank-plugins-tests-")) / name)
    content: dict[str, Any] = json.loads((copy / "tokenizer.json").read_text(encoding="utf-8"))
    content["model"]["merges"] = [" ".join(pair) for pair in content["model"]["merges"]]
    (copy / "tokenizer.json").write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return copy


def changed_copy(name: str, target: Path, **changes: object) -> Path:
    """Return a copy of a checkpoint with other values in ``config.json``."""
    folder = shutil.copytree(llm_checkpoint(name), target)
    config = {**json.loads((folder / "config.json").read_text(encoding="utf-8")), **changes}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder
