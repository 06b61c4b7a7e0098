"""A calibration file reaches the postprocessor, and survives serialisation."""

from __future__ import annotations

from pathlib import Path

import pytest
from llama_index.core.schema import NodeWithScore, TextNode
from llama_index.postprocessor.rerank_plugins import RerankPostprocessor

from rerank_plugins import Reranker
from rerank_plugins.calibration import Calibration, fit_calibration

QUERY = "where is the library?"
TEXTS = ["The library is in the old town.", "Fish live in water.", "a b c"]


@pytest.fixture
def calibration_file(checkpoints: Path, tmp_path: Path) -> Path:
    scores = Reranker(checkpoints / "bert-reranker").score([(QUERY, text) for text in TEXTS])
    return fit_calibration(scores, [score == max(scores) for score in scores]).save(tmp_path / "calibration.json")


@pytest.mark.parametrize("as_object", [False, True])
def test_probabilities_are_the_calibrations(checkpoints: Path, calibration_file: Path, as_object: bool) -> None:
    made = Calibration.load(calibration_file)
    given = made if as_object else calibration_file
    postprocessor = RerankPostprocessor(model=checkpoints / "bert-reranker", calibration=given)
    rebuilt = RerankPostprocessor.from_json(postprocessor.to_json())
    assert rebuilt.calibration == postprocessor.calibration
    for one in (postprocessor, rebuilt):
        nodes = [NodeWithScore(node=TextNode(text=text)) for text in TEXTS]
        for found in one.postprocess_nodes(nodes, query_str=QUERY):
            assert found.node.metadata["rerank_probability"] == made.probability(found.score)


def test_an_adopted_reranker_keeps_its_calibration(checkpoints: Path, calibration_file: Path) -> None:
    reranker = Reranker(checkpoints / "bert-reranker", calibration=calibration_file)
    assert RerankPostprocessor.from_reranker(reranker).calibration == Calibration.load(calibration_file)
