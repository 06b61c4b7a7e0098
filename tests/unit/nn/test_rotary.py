"""Rotary frequencies that depend on lengths: a score is the same alone, beside a long text, and after one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tiny_rerankers

from rerank_plugins import EngineOptions, Reranker, SourceOptions

TRAINED = 600
QUERY = "capital"
SHORT, MIDDLE, LONG = "paris is", "the river seine " * 20, "the river seine " * 60
LONGROPE = {
    "rope_type": "longrope",
    "short_factor": [1.0] * 4,
    "long_factor": [4.0] * 4,
    "factor": 16.0,
    "original_max_position_embeddings": TRAINED,
}
DYNAMIC = {"rope_type": "dynamic", "factor": 4.0}


def _folder(folder: Path, scaling: dict[str, Any]) -> Path:
    made = tiny_rerankers.mxbai_reranker(folder)
    limits = {"original_max_position_embeddings": TRAINED} if scaling is LONGROPE else {}
    positions = TRAINED if scaling is DYNAMIC else 4096
    return tiny_rerankers.change_config(made, rope_scaling=scaling, max_position_embeddings=positions, **limits)


@pytest.mark.parametrize(("scaling", "max_length"), [(LONGROPE, 1000), (DYNAMIC, TRAINED - 1)])
def test_a_score_does_not_depend_on_the_lengths_of_the_others(
    tmp_path: Path, scaling: dict[str, Any], max_length: int
) -> None:
    folder = _folder(tmp_path / "model", scaling)
    options = {"source": SourceOptions(family="mxbai-v2"), "device": "cpu", "max_length": max_length}
    texts = [SHORT, LONG, MIDDLE, SHORT + " paris"]
    alone = []
    for text in texts:
        with Reranker(folder, **options) as fresh:  # type: ignore[arg-type]
            alone += fresh.score([(QUERY, text)])
    # Room for all in one batch, also where it is padded (transformers 4.40).
    options["engine"] = EngineOptions(max_batch_tokens=8192)
    with Reranker(folder, **options) as reranker:  # type: ignore[arg-type]
        # The prompt comes on top of max_length.
        assert reranker.score([(QUERY, text) for text in texts]) == pytest.approx(alone, abs=1e-4)
        assert reranker.stats().batches == 1
        for text, expected in zip(texts, alone, strict=True):
            assert reranker.score([(QUERY, text)]) == pytest.approx([expected], abs=1e-4)
