"""The cross-encoder, alone and inside LangChain's own compressor."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor

import pytest
from langchain_classic.retrievers.document_compressors import CrossEncoderReranker
from langchain_core.cross_encoders import BaseCrossEncoder
from langchain_core.documents import Document
from langchain_rerank_plugins import BgeRerankCompressor, RerankCrossEncoder

from rerank_plugins import Reranker
from rerank_plugins.errors import InvalidInputError

PAIRS = [("capital of France", "Paris is the capital."), ("capital of France", ""), ("panda", "A bear.\nBamboo.")]


@pytest.fixture
def encoder(langchain_models: dict[str, str]) -> RerankCrossEncoder:
    return RerankCrossEncoder(model=langchain_models["bert-reranker"], device="cpu")


def test_scores_are_floats_in_input_order(encoder: RerankCrossEncoder) -> None:
    assert isinstance(encoder, BaseCrossEncoder)
    scores = encoder.score(PAIRS)
    assert [type(one) for one in scores] == [float] * 3
    assert encoder.score(PAIRS[::-1]) == pytest.approx(scores[::-1], abs=1e-5)
    assert scores == pytest.approx(encoder.reranker.score(PAIRS), abs=1e-5)
    assert min(scores) == scores[1]


def test_no_pairs(encoder: RerankCrossEncoder) -> None:
    assert encoder.score([]) == []


async def test_async_equals_sync(encoder: RerankCrossEncoder) -> None:
    assert await encoder.ascore(PAIRS) == pytest.approx(encoder.score(PAIRS), abs=1e-5)
    assert await encoder.ascore([]) == []


def test_probabilities(encoder: RerankCrossEncoder) -> None:
    probabilities = encoder.model_copy(update={"score_unit": "probability"}).score(PAIRS)
    raw = encoder.score(PAIRS)
    assert probabilities[0] == pytest.approx(1 / (1 + math.exp(-raw[0])), abs=1e-6)
    assert probabilities[1] == 0.0


def test_threads_get_what_one_caller_gets(encoder: RerankCrossEncoder) -> None:
    expected = encoder.score(PAIRS)
    with ThreadPoolExecutor(16) as pool:
        for scores in pool.map(lambda _: encoder.score(PAIRS), range(32)):
            assert scores == pytest.approx(expected, abs=1e-4)


def test_from_reranker(encoder: RerankCrossEncoder) -> None:
    again = RerankCrossEncoder.from_reranker(encoder.reranker, score_unit="probability")
    assert again.reranker is encoder.reranker
    with pytest.raises(InvalidInputError, match="got RerankCrossEncoder"):
        RerankCrossEncoder.from_reranker(encoder)  # type: ignore[arg-type]


@pytest.mark.parametrize("pairs", ["ab", [("q", 3)], [("q",)]])
def test_refuses_what_is_not_a_pair(encoder: RerankCrossEncoder, pairs: list[tuple[str, str]]) -> None:
    with pytest.raises(InvalidInputError, match="pairs"):
        encoder.score(pairs)


def test_langchains_own_compressor_ranks_as_ours(encoder: RerankCrossEncoder) -> None:
    documents = [Document(text) for text in ("Berlin", "Paris is the capital of France.", "", "A panda.")]
    theirs = CrossEncoderReranker(model=encoder, top_n=3).compress_documents(documents, "capital of France")
    ours = BgeRerankCompressor.from_reranker(Reranker(encoder.model, device="cpu"), top_n=3)
    expected = ours.compress_documents(documents, "capital of France")
    assert [one.page_content for one in theirs] == [one.page_content for one in expected]
