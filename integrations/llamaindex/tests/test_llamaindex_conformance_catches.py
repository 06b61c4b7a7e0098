"""The conformance suite finds faults in what is done with settings and with late answers."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
from llama_index.core.schema import NodeWithScore, TextNode
from llama_index.postprocessor.rerank_plugins import RerankPostprocessor
from rerank_plugins_testing.llamaindex import PostprocessorConformance

LATE = ("deadline", {"deadline_s": 0.02}, False)


class LosesTheMark(RerankPostprocessor):
    def _fill(self, outcome, nodes, ranked):
        super()._fill(outcome, nodes, ranked)
        for one in outcome.nodes if outcome.fallback else []:
            one.node.metadata.pop("rerank_fallback")


class ShowsTheMarkToModels(RerankPostprocessor):
    def _fill(self, outcome, nodes, ranked):
        super()._fill(outcome, nodes, ranked)
        for one in outcome.nodes if outcome.fallback else []:
            one.node.excluded_llm_metadata_keys.remove("rerank_fallback")


class ReturnsNothing(RerankPostprocessor):
    def _fill(self, outcome, nodes, ranked):
        super()._fill(outcome, nodes, ranked)
        outcome.nodes = [] if outcome.fallback else outcome.nodes


class HandsOutTheInput(RerankPostprocessor):
    def _fill(self, outcome, nodes, ranked):
        super()._fill(outcome, nodes, ranked)
        outcome.nodes = list(nodes[: self.top_n]) if outcome.fallback else outcome.nodes


class ChangesItself(RerankPostprocessor):
    def with_settings(self, **settings):
        for name, value in settings.items():
            setattr(self, name, value)
        return self


class IgnoresTheBlock(RerankPostprocessor):
    def using(self, **settings):
        return nullcontext(self.with_settings(**settings))


FAULTS = [
    (LosesTheMark, "test_retrieval_order", LATE),
    (ShowsTheMarkToModels, "test_retrieval_order", LATE),
    (ReturnsNothing, "test_retrieval_order", LATE),
    (HandsOutTheInput, "test_retrieval_order", LATE),
    (ChangesItself, "test_a_copy_with_settings", ({"top_n": 2},)),
    (IgnoresTheBlock, "test_settings_for_a_block", ({"top_n": 2}, False)),
]


def nodes():
    texts = ["Paris is in France.", "The giant panda eats bamboo.", "Revenue grew.", "A panda is a bear."]
    return [
        NodeWithScore(node=TextNode(id_=text, text=text, metadata={"file": "a.txt"}), score=0.9 - index / 10)
        for index, text in enumerate(texts)
    ]


@pytest.mark.parametrize(("faulty", "test", "arguments"), FAULTS, ids=lambda one: getattr(one, "__name__", None))
def test_fault_is_found(checkpoints, faulty, test, arguments):
    def run(kind):
        def make(**options):
            return kind(model=checkpoints / "bert-reranker", device="cpu", **options)

        first = make(top_n=None) if test != "test_retrieval_order" else make
        getattr(PostprocessorConformance(), test)(first, nodes(), *arguments)

    run(RerankPostprocessor)
    with pytest.raises(AssertionError):
        run(faulty)
