"""The late-interaction model that is written from the bundled reranker's encoder."""

from __future__ import annotations

from pathlib import Path

import pytest
from rerank_plugins_demo.token_vectors import write_token_vector_model

from rerank_plugins import Reranker


def test_it_opens_reads_trained_weights_and_refuses_a_folder_that_is_there(tmp_path: Path) -> None:
    folder = write_token_vector_model(tmp_path / "model")
    documents = ["Paris is the capital of France.", "A panda spends the day eating bamboo."]
    with Reranker(folder, device="cpu") as reranker:
        assert reranker.spec.late_interaction is not None
        ranked = reranker.rank("what do pandas eat?", documents)
        found = reranker.explain("what do pandas eat?", documents[1])
    # Random weights know nothing of either.
    assert ranked[0].index == 1
    assert ranked[0].score > ranked[1].score + 0.2
    answers = {one.query_token: one.document_token for one in found.matches}
    assert answers["eat"] == "eating"
    assert sum(one.share for one in found.matches) == pytest.approx(found.score, abs=1e-6)
    with pytest.raises(FileExistsError):
        write_token_vector_model(folder)
