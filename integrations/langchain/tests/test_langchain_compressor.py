"""What the compressors promise beyond the conformance suite."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_rerank_plugins import (
    BceEmbeddings,
    BceRerankCompressor,
    BgeEmbeddings,
    BgeRerankCompressor,
    RerankCompressor,
)

from rerank_plugins import LongDocuments, Reranker, SourceOptions
from rerank_plugins.errors import EngineClosedError, InvalidInputError, ModelUnavailableError
from rerank_plugins.types import BLANK_DOCUMENT_SCORE

QUERY = "What is the capital of France?"
LONG = "Paris is the capital of France and its largest city. " * 30


@pytest.fixture
def folder(langchain_models: dict[str, str]) -> str:
    return langchain_models["bert-reranker"]


def make(folder: str, **options: Any) -> BgeRerankCompressor:
    return BgeRerankCompressor(model=folder, device="cpu", **options)


def metadata_of(compressor: RerankCompressor, *texts: str) -> list[dict[str, Any]]:
    return [one.metadata for one in compressor.compress_documents([Document(text) for text in texts], QUERY)]


def test_scores_are_the_cores_own(folder: str) -> None:
    texts = ["Berlin is a capital.", "Paris is the capital of France.", ""]
    ranked = Reranker(folder, device="cpu", source=SourceOptions(family="bge")).rank(QUERY, texts)
    results = make(folder).compress_documents([Document(text) for text in texts], QUERY)
    assert [one.page_content for one in results] == [one.document for one in ranked]
    for document, one in zip(results, ranked, strict=True):
        assert document.metadata["relevance_score"] == pytest.approx(one.score, abs=1e-5)
        assert document.metadata["relevance_probability"] == pytest.approx(one.probability, abs=1e-5)
        assert document.metadata["rerank_rank"] == one.rank


def test_top_n_is_five_unless_told(folder: str) -> None:
    texts = ["Paris"] * 7
    assert len(metadata_of(make(folder), *texts)) == 5
    assert len(metadata_of(make(folder, top_n=None), *texts)) == 7


def test_score_unit_probability(folder: str) -> None:
    for metadata in metadata_of(make(folder, score_unit="probability"), "Paris", "Berlin", ""):
        assert metadata["relevance_score"] == metadata["relevance_probability"]
        assert 0.0 <= metadata["relevance_score"] <= 1.0


def test_blank_document_has_the_blank_score(folder: str) -> None:
    (metadata,) = metadata_of(make(folder), "  \n")
    assert metadata == {
        "relevance_score": BLANK_DOCUMENT_SCORE,
        "relevance_probability": 0.0,
        "rerank_probability": 0.0,
        "rerank_rank": 1,
        "rerank_truncated": False,
    }


def test_short_document_has_no_window(folder: str) -> None:
    (metadata,) = metadata_of(make(folder), "Paris")
    # relevance_probability is the old name of rerank_probability.
    details = {"rerank_probability", "rerank_rank", "rerank_truncated"}
    assert set(metadata) == {"relevance_score", "relevance_probability", *details}


def test_truncation_is_told(folder: str) -> None:
    (metadata,) = metadata_of(make(folder), LONG)
    assert metadata["rerank_truncated"] is True
    assert metadata["rerank_window"][0] == 0
    assert 0 < metadata["rerank_window"][1] < len(LONG)


def test_maxp_reads_everything_and_names_the_window(folder: str) -> None:
    (metadata,) = metadata_of(make(folder, long_documents="maxp"), LONG)
    start, end = metadata["rerank_window"]
    assert 0 <= start < end <= len(LONG)
    assert metadata["rerank_truncated"] is False


def test_bce_splits_long_documents(langchain_models: dict[str, str]) -> None:
    compressor = BceRerankCompressor(model=langchain_models["xlmr-reranker"], device="cpu")
    assert compressor.long_documents == "maxp"
    (metadata,) = metadata_of(compressor, LONG)
    assert metadata["rerank_truncated"] is False


def test_long_documents_object_reaches_the_core(folder: str) -> None:
    compressor = make(folder, long_documents=LongDocuments(strategy="meanp", overlap_tokens=4))
    (metadata,) = metadata_of(compressor, LONG)
    expected = Reranker(
        folder,
        device="cpu",
        long_documents=LongDocuments(strategy="meanp", overlap_tokens=4),
        source=SourceOptions(family="bge"),
    )
    assert metadata["relevance_score"] == pytest.approx(expected.rank(QUERY, [LONG])[0].score, abs=1e-5)


def test_line_breaks_reach_the_model(folder: str) -> None:
    text = "Line one of a note.\nLine two."
    (document,) = make(folder).compress_documents([Document(text)], QUERY)
    assert document.page_content == text


def test_score_of_an_earlier_stage_is_kept(folder: str) -> None:
    stale = {"relevance_score": 0.25, "rerank_window": [0, 1], "rerank_truncated": True}
    (once,) = make(folder).compress_documents([Document("Paris", metadata=stale)], QUERY)
    assert once.metadata["retrieval_score"] == 0.25
    assert "rerank_window" not in once.metadata
    assert once.metadata["rerank_truncated"] is False
    (twice,) = make(folder).compress_documents([once], QUERY)
    assert twice.metadata["retrieval_score"] == 0.25


def test_metadata_that_cannot_be_copied_is_shared(folder: str) -> None:
    lock = threading.Lock()
    cycle: list[Any] = []
    cycle.append(cycle)
    document = Document("Paris", metadata={"lock": lock, "nested": ({"a": [1]},), "cycle": cycle})
    (copied,) = make(folder).compress_documents([document], QUERY)
    assert copied.metadata["lock"] is lock
    assert copied.metadata["nested"] == document.metadata["nested"]
    assert copied.metadata["nested"][0]["a"] is not document.metadata["nested"][0]["a"]
    assert copied.metadata["cycle"] is not cycle
    assert copied.metadata["cycle"][0] is copied.metadata["cycle"]


async def test_async_is_native(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        pytest.fail("acompress_documents went through an executor of LangChain's")

    monkeypatch.setattr("langchain_core.documents.compressor.run_in_executor", refuse)
    assert len(await make(folder).acompress_documents([Document("Paris")], QUERY)) == 1


@pytest.mark.parametrize("documents", ["Paris", None, [{"page_content": "Paris"}]])
def test_refuses_what_is_not_a_document(folder: str, documents: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"documents(\[0\])? must be a"):
        make(folder).compress_documents(documents, QUERY)


def test_from_reranker_scores_with_it(folder: str) -> None:
    reranker = Reranker(folder, device="cpu", max_length=48)
    compressor = BgeRerankCompressor.from_reranker(reranker, top_n=1)
    assert compressor.reranker is reranker
    assert (compressor.model, compressor.max_length, compressor.top_n) == (folder, 48, 1)
    assert len(metadata_of(compressor, "Paris", "Berlin")) == 1


def test_from_reranker_takes_a_loaded_cross_encoder(folder: str) -> None:
    cross_encoders = pytest.importorskip("sentence_transformers.cross_encoder")
    loaded = cross_encoders.CrossEncoder(folder, device="cpu")
    compressor = RerankCompressor.from_reranker(Reranker.from_loaded(loaded), score_unit="probability")
    (metadata,) = metadata_of(compressor, "Paris is a city.")
    (expected,) = loaded.predict([(QUERY, "Paris is a city.")])
    assert metadata["relevance_score"] == pytest.approx(float(expected), abs=1e-4)


def test_from_reranker_refuses_other_objects() -> None:
    with pytest.raises(InvalidInputError, match=r"from_loaded.*got str"):
        RerankCompressor.from_reranker("BAAI/bge-reranker-base")  # type: ignore[arg-type]


def test_closed_compressor_says_so(langchain_models: dict[str, str], tmp_path: Any) -> None:
    compressor = make(langchain_models["bert-reranker"])
    compressor.close()
    with pytest.raises(EngineClosedError, match="closed"):
        metadata_of(compressor, "Paris")


@pytest.mark.parametrize(
    "adapter", [BgeRerankCompressor, BceRerankCompressor, BgeEmbeddings, BceEmbeddings], ids=lambda one: one.__name__
)
def test_default_model_offline_names_the_way_out(adapter: type[RerankCompressor] | type[Embeddings]) -> None:
    with pytest.raises(ModelUnavailableError, match=r"HF_HUB_OFFLINE.*local folder.*HF_ENDPOINT"):
        adapter()


def test_the_score_of_an_earlier_reranking_is_none_of_the_retrieval(langchain_models: dict[str, str]) -> None:
    compressor = RerankCompressor(model=langchain_models["bert-reranker"], device="cpu")
    for metadata, expected in (({}, None), ({"relevance_score": 0.5}, 0.5), ({"retrieval_score": 0.25}, 0.25)):
        found = [Document("a panda", metadata=metadata)]
        for _ in range(3):
            found = compressor.compress_documents(found, "panda")
            assert found[0].metadata.get("retrieval_score") == expected
