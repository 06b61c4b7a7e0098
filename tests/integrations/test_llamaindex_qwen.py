"""The Qwen postprocessor, end to end: conformance on a tiny checkpoint, and its instruction."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import transformers
from llama_index.core.schema import NodeWithScore, TextNode
from llama_index.postprocessor.rerank_plugins import QwenRerankPostprocessor
from rerank_plugins_testing.llamaindex import PostprocessorConformance

from rerank_plugins import Reranker, SourceOptions
from rerank_plugins.catalog import find_by_name

pytestmark = [
    pytest.mark.skipif(
        find_by_name("Qwen/Qwen3-Reranker-0.6B", kind="reranker") is None, reason="the catalog has no Qwen3-Reranker"
    ),
    pytest.mark.skipif(not hasattr(transformers, "Qwen3Config"), reason="this transformers has no Qwen3"),
]

QUERY, TEXTS = "What does a panda eat?", ["Paris is a city.", "The panda eats bamboo."]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import tiny_rerankers

    path: Path = tiny_rerankers.qwen_reranker(tmp_path_factory.mktemp("qwen") / "tiny")
    return path


class TestQwen(PostprocessorConformance):
    @pytest.fixture
    def make(self, folder: Path) -> Any:
        return partial(QwenRerankPostprocessor, model=folder, device="cpu")


def test_the_prompt_is_the_instruction(folder: Path) -> None:
    made = QwenRerankPostprocessor(model=folder, device="cpu", top_n=None)
    nodes = [NodeWithScore(node=TextNode(id_=text, text=text), score=0.5) for text in TEXTS]
    found = []
    for prompt in (None, "Find the animal"):
        results = made.with_settings(prompt=prompt).postprocess_nodes(nodes, query_str=QUERY)
        found.append({one.node_id: one.get_score() for one in results})
        core = Reranker(folder, device="cpu", prompt=prompt, source=SourceOptions(family="qwen3"))
        assert found[-1] == pytest.approx(dict(zip(TEXTS, core.score([(QUERY, text) for text in TEXTS]), strict=True)))
    assert found[0] != pytest.approx(found[1])
