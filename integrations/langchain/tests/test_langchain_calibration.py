"""A calibration file reaches every LangChain class, and survives what the options survive."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from langchain_core.documents import Document
from langchain_rerank_plugins import RerankCompressor, RerankCrossEncoder

from rerank_plugins import Reranker
from rerank_plugins.calibration import Calibration, fit_calibration

QUERY = "where is the library?"
TEXTS = ["The library is in the old town.", "Fish live in water.", "a b c"]


@pytest.fixture
def calibration_file(langchain_models: dict[str, str], tmp_path: Path) -> Path:
    scores = Reranker(langchain_models["bert-reranker"]).score([(QUERY, text) for text in TEXTS])
    return fit_calibration(scores, [score == max(scores) for score in scores]).save(tmp_path / "calibration.json")


def test_probabilities_are_the_calibrations(langchain_models: dict[str, str], calibration_file: Path) -> None:
    made = Calibration.load(calibration_file)
    compressor = RerankCompressor(model=langchain_models["bert-reranker"], calibration=calibration_file)
    for one in (compressor, pickle.loads(pickle.dumps(compressor)), RerankCompressor(**compressor.model_dump())):
        found = one.compress_documents([Document(text) for text in TEXTS], QUERY)
        for document in found:
            expected = made.probability(document.metadata["relevance_score"])
            assert document.metadata["relevance_probability"] == expected
    cross_encoder = RerankCrossEncoder(
        model=langchain_models["bert-reranker"], calibration=calibration_file, score_unit="probability"
    )
    scores = cross_encoder.reranker.score([(QUERY, text) for text in TEXTS])
    assert cross_encoder.score([(QUERY, text) for text in TEXTS]) == [made.probability(score) for score in scores]


def test_an_adopted_reranker_keeps_its_calibration(langchain_models: dict[str, str], calibration_file: Path) -> None:
    reranker = Reranker(langchain_models["bert-reranker"], calibration=calibration_file)
    assert RerankCompressor.from_reranker(reranker).calibration == Calibration.load(calibration_file)
