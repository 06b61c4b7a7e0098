"""Which objects share weights: those whose settings make the same model of a folder, and no others."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import tiny_rerankers

from rerank_plugins import Embedder, Reranker, SourceOptions

_PAIRS = [("capital of france", "paris is the capital"), ("rivers", "the seine is a river")]


def _opened(folder: Path, family: str) -> Reranker:
    return Reranker(folder, source=SourceOptions(family=family), device="cpu", max_length=256)


def test_families_whose_answers_are_other_tokens_do_not_share_a_head(tmp_path: Path) -> None:
    folder = tiny_rerankers.qwen_reranker(tmp_path / "decoder")
    with _opened(folder, "mxbai-v2") as alone:
        expected = alone.score(_PAIRS)
    with _opened(folder, "qwen3") as other, _opened(folder, "mxbai-v2") as beside, _opened(folder, "qwen3") as same:
        assert beside.score(_PAIRS) == expected
        assert same.score(_PAIRS) == other.score(_PAIRS)
        assert same.stats().calls == 2


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_a_table_of_vectors_says_in_which_precision_it_is(dtype: str, caplog: pytest.LogCaptureFixture) -> None:
    """It said what was asked for."""
    pytest.importorskip("rerank_plugins_mini")
    exact = Embedder("mini")
    assert (exact.device, exact.dtype) == ("cpu", "float32")
    assert not caplog.text
    with caplog.at_level(logging.WARNING, logger="rerank_plugins"):
        embedder = Embedder("mini", dtype=dtype)
    assert embedder.dtype == "float32"
    assert f"dtype='{dtype}' changes nothing for mini" in caplog.text
    assert np.array_equal(embedder.embed_documents(["panda"]), exact.embed_documents(["panda"]))
