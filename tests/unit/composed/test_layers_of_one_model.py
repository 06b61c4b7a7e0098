"""A layerwise model as a cascade within itself: low layers over all documents, deep ones over the best."""

from __future__ import annotations

from llm_checkpoints import llm_checkpoint

from rerank_plugins import Cascade, LayerOptions, Reranker
from rerank_plugins.composed import Stage
from rerank_plugins.engine.registry import MODELS

QUERY = "what do pandas eat"
DOCUMENTS = ["pandas eat bamboo", "Paris is in France", "bears eat fish", "bamboo grows in China", "a passport photo"]


def test_low_layers_over_all_and_deep_ones_over_the_best() -> None:
    model = str(llm_checkpoint("tiny-minicpm-layerwise"))
    with Reranker(model, device="cpu") as alone:
        low, deep = alone.spec.layers.first, alone.spec.layers.last  # type: ignore[union-attr]
        by_layer = alone.score_layers(
            [(QUERY, one) for one in DOCUMENTS], layers=LayerOptions(cutoff_layers=(low, deep))
        )
        loaded = len(MODELS.loaded())
        cpu = {"device": "cpu"}
        stages = [Stage(model, layers=low, options=cpu), Stage(model, 2, layers=deep, options=cpu)]
        with Cascade(stages) as cascade:
            assert len(MODELS.loaded()) == loaded
            ranking = cascade.rank(QUERY, DOCUMENTS)
        with Cascade([Stage(alone, layers=low), Stage(alone, 2, layers=LayerOptions(cutoff_layers=(deep,)))]) as same:
            assert [one.index for one in same.rank(QUERY, DOCUMENTS)] == [one.index for one in ranking]
    by_low = sorted(range(len(DOCUMENTS)), key=lambda place: -by_layer[place][0])
    best = sorted(by_low[:2], key=lambda place: -by_layer[place][1])
    assert [one.index for one in ranking] == best + by_low[2:]
    assert [one.name.rpartition("#")[2] for one in ranking[0].stages] == [str(low), str(deep)]
    assert abs(ranking[0].stages[1].score - by_layer[best[0]][1]) < 1e-4
