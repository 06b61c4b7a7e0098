"""A listwise reranker is used as one: whatever needs scores that are the same in every call is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest

from rerank_plugins import InvalidInputError, Reranker, ScoreCache
from rerank_plugins.backends.protocol import SimplePairScorer, reranker_spec
from rerank_plugins.calibration import fit_calibration


class PlaceAmongAll(SimplePairScorer):
    """Scores a document by its place in the alphabet among all of the call."""

    spec = reranker_spec("acme/places", score_scope="call")
    batch_pairs = 1_000

    def score_texts(self, pairs: Sequence[tuple[str, str]]) -> Sequence[float]:
        order = sorted(document for _, document in pairs)
        return [-float(order.index(document)) for _, document in pairs]


@pytest.fixture
def reranker() -> Reranker:
    return Reranker(backend=PlaceAmongAll())


def test_it_ranks_and_scores_all_of_a_call(reranker: Reranker) -> None:
    assert [one.document for one in reranker.rank("q", ["c", "a", "b"])] == ["a", "b", "c"]
    assert asyncio.run(reranker.ascore([("q", "c"), ("q", "a")])) == [-1.0, 0.0]
    assert reranker.spec.score_scope == "call"
    assert reranker_spec("acme/plain").score_scope == "model"


@pytest.mark.parametrize(
    ("what", "use"),
    [
        ("cache", lambda _: Reranker(backend=PlaceAmongAll(), cache=ScoreCache())),
        (
            "calibration",
            lambda _: Reranker(backend=PlaceAmongAll(), calibration=fit_calibration([0.0, 1.0] * 9, [0, 1] * 9)),
        ),
        ("explain", lambda reranker: reranker.explain("q", "some words")),
        ("score_stream", lambda reranker: next(iter(reranker.score_stream([("q", "a")])))),
    ],
)
def test_what_needs_scores_of_single_pairs_is_refused(
    reranker: Reranker, what: str, use: Callable[[Reranker], object]
) -> None:
    with pytest.raises(InvalidInputError, match=f"^{what}.*'acme/places': its score depends.*Use rank"):
        use(reranker)
