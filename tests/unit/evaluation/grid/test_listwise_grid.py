"""Listwise rerankers in the grid: every list is scored in one call, once, and goes on after a break."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from tiny import tiny_dataset, tiny_options

from rerank_plugins import Reranker
from rerank_plugins.backends import named
from rerank_plugins.backends.protocol import SimplePairScorer, reranker_spec
from rerank_plugins.evaluation.grid import CurveOptions, run_evaluation
from rerank_plugins.evaluation.run import read_trec_run


class FewestOfAll(SimplePairScorer):
    """Likes a document the better, the more of its words few others of the call have."""

    batch_pairs = 1_000

    def __init__(self) -> None:
        self.spec = reranker_spec("tests/fewest", score_scope="call")
        self.asked: list[int] = []

    def score_texts(self, pairs: Sequence[tuple[str, str]]) -> Sequence[float]:
        self.asked.append(len(pairs))
        texts = [set(document.split()) for _, document in pairs]
        return [-sum(len(text & other) for other in texts) + place / 100 for place, text in enumerate(texts)]


def test_lists_are_scored_whole_and_once(checkpoints: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = FewestOfAll()
    monkeypatch.setattr(named, "_OPENERS", {("reranker", "fewest"): lambda _: backend})
    dataset = tiny_dataset()
    options = tiny_options(
        checkpoints, retrievers=("bm25", "dense"), rerankers=("fewest",), top_ks=(4, 8), top_ns=(3,), device=None
    )
    curves = CurveOptions(growth_from=20, depths=(2, 8))
    results = run_evaluation([dataset], options, tmp_path, curves=curves)
    reranked = [cell for cell in results.cells if cell.system.reranker]
    assert len(reranked) == 4
    with Reranker(backend=FewestOfAll()) as reranker:
        for cell in reranked:
            assert cell.latency is not None
            assert cell.latency.n_queries == len(dataset.queries)
            assert cell.run_file is not None
            alone = next(
                one
                for one in results.cells
                if one.system.reranker is None and one.system.retriever == cell.system.retriever
            )
            first = read_trec_run(tmp_path / str(alone.run_file))
            found = read_trec_run(tmp_path / cell.run_file)
            for quoted, documents in first.items():
                texts = [one.replace("%20", " ") for one in list(documents)[: cell.system.top_k]]
                ranking = reranker.rank(dataset.queries[quoted], [dataset.documents[one].contents for one in texts])
                assert [one.replace("%20", " ") for one in found[quoted]] == [texts[one.index] for one in ranking]
    n_calls = len(backend.asked)
    again = run_evaluation([dataset], options, tmp_path, curves=curves)
    assert len(backend.asked) == n_calls
    assert again.curves == results.curves
    assert [cell.measures for cell in again.cells] == [cell.measures for cell in results.cells]
