"""Tests that any LangChain document compressor can inherit (langchain-tests has none for them).

Subclass, name the class and its options, and pytest runs the inherited tests::

    class TestMyCompressor(CompressorConformance):
        @property
        def compressor_class(self):
            return BgeRerankCompressor

        @property
        def compressor_params(self):
            return {"model": "mini"}

A compressor that cannot do something says so in ``features``; the tests of a feature that is left out
are skipped. Needs pytest; the tests inside a retriever also need langchain-classic.
"""

from __future__ import annotations

import asyncio
import copy
import json
from concurrent.futures import ThreadPoolExecutor
from typing import cast

import pytest
from langchain_core.documents import BaseDocumentCompressor

from rerank_plugins_testing.langchain.base import ALL_FEATURES, SuiteBase
from rerank_plugins_testing.langchain.deadlines import DeadlineTests
from rerank_plugins_testing.langchain.parts import FixedRetriever, RunRecorder, ids_of, score_of
from rerank_plugins_testing.langchain.settings import SettingsTests

__all__ = ["ALL_FEATURES", "CompressorConformance", "FixedRetriever", "RunRecorder"]

_SCORE = "relevance_score"
_PROBABILITY = "rerank_probability"


class CompressorConformance(SettingsTests, DeadlineTests, SuiteBase):
    """What a reranking compressor owes its users, as tests."""

    def test_is_a_compressor(self, compressor: BaseDocumentCompressor) -> None:
        """It can be used wherever LangChain takes a document compressor."""
        assert isinstance(compressor, BaseDocumentCompressor)

    def test_no_documents(self, compressor: BaseDocumentCompressor) -> None:
        """No documents in, none out, and no error."""
        assert list(compressor.compress_documents([], self.query)) == []
        assert list(asyncio.run(compressor.acompress_documents([], self.query))) == []

    def test_one_document(self, compressor: BaseDocumentCompressor) -> None:
        """One document is a list of one, not a special case."""
        assert ids_of(compressor.compress_documents(self.documents[1:2], self.query)) == ["berlin"]

    def test_returns_each_document_once(self, compressor: BaseDocumentCompressor) -> None:
        """Nothing is lost, invented or doubled."""
        assert sorted(map(str, ids_of(self.compress(compressor)))) == sorted(map(str, ids_of(self.documents)))

    def test_best_first(self, compressor: BaseDocumentCompressor) -> None:
        """Scores go down, and ranks count from 1."""
        self.needs("scores")
        results = self.compress(compressor)
        scores = [score_of(one) for one in results]
        assert scores == sorted(scores, reverse=True)

    def test_input_order_does_not_matter(self, compressor: BaseDocumentCompressor) -> None:
        """The ranking of documents with text is a property of their text."""
        documents = [one for one in self.documents if one.page_content.strip()]
        forwards = compressor.compress_documents(documents, self.query)
        assert ids_of(compressor.compress_documents(documents[::-1], self.query)) == ids_of(forwards)

    def test_top_n_is_a_prefix(self, compressor: BaseDocumentCompressor) -> None:
        """``top_n`` cuts the ranking and does not change it."""
        assert ids_of(self.compress(self.make(top_n=2))) == ids_of(self.compress(compressor))[:2]

    @pytest.mark.parametrize("top_n", [0, -1])
    def test_refuses_top_n_below_one(self, top_n: int) -> None:
        """A ``top_n`` that returns nothing, or all but the best, is a mistake."""
        self.needs("strict_options")
        with pytest.raises(ValueError, match="top_n"):
            self.make(top_n=top_n)

    def test_refuses_unknown_options(self) -> None:
        """A misspelt option is an error that names it, never silence."""
        self.needs("strict_options")
        with pytest.raises((TypeError, ValueError), match="topn"):
            self.make(topn=3)

    def test_blank_documents_rank_last(self, compressor: BaseDocumentCompressor) -> None:
        """Documents without text come after all others and keep their order."""
        assert ids_of(self.compress(compressor))[-2:] == ["empty", "blank"]

    def test_scores_are_plain_floats(self, compressor: BaseDocumentCompressor) -> None:
        """Scores are Python floats, and the metadata is JSON that comes back the same."""
        self.needs("scores")
        for one in self.compress(compressor):
            assert type(score_of(one)) is float
            assert json.loads(json.dumps(one.metadata, allow_nan=False)) == one.metadata

    def test_documents_are_not_changed(self, compressor: BaseDocumentCompressor) -> None:
        """The documents that came in are the same afterwards, and changing a result leaves them alone."""
        self.needs("copies")
        documents = self.documents
        before = copy.deepcopy(documents)
        results = compressor.compress_documents(documents, self.query)
        assert documents == before
        for one in results:
            one.metadata["added"] = True
            one.metadata.get("tags", []).append("added")
            one.metadata.get("source", {})["added"] = True
        assert documents == before

    def test_documents_are_kept(self, compressor: BaseDocumentCompressor) -> None:
        """Class, id, text and every metadata key but the compressor's own come back."""
        before = {one.page_content: one for one in self.documents}
        for one in self.compress(compressor):
            original = before[one.page_content]
            assert (type(one), one.id) == (type(original), original.id)
            kept = {key: value for key, value in original.metadata.items() if key != _SCORE}
            assert kept.items() <= one.metadata.items()

    def test_retrieval_score_survives(self, compressor: BaseDocumentCompressor) -> None:
        """The score that a retriever wrote is still there."""
        for one in self.compress(compressor):
            if one.id == "berlin":
                assert one.metadata["score"] == pytest.approx(0.5)

    def test_threshold_in_probability(self, compressor: BaseDocumentCompressor) -> None:
        """``threshold`` alone is a probability; equal scores stay."""
        self.needs("threshold")
        probabilities = [one.metadata[_PROBABILITY] for one in self.compress(compressor)]
        kept = self.compress(self.make(threshold=probabilities[1] - self.tolerance))
        assert len(kept) == sum(one >= probabilities[1] - self.tolerance for one in probabilities)
        assert self.compress(self.make(threshold=0.0, threshold_unit="probability"))

    def test_threshold_in_raw_scores(self, compressor: BaseDocumentCompressor) -> None:
        """``threshold_unit="raw"`` compares with the model's own number."""
        self.needs("threshold")
        scores = [score_of(one) for one in self.compress(compressor)]
        kept = self.compress(self.make(threshold=scores[2] - self.tolerance, threshold_unit="raw"))
        assert len(kept) == sum(one >= scores[2] - self.tolerance for one in scores)

    def test_async_equals_sync(self, compressor: BaseDocumentCompressor) -> None:
        """Both methods give the same answer."""
        self.assert_same(asyncio.run(self.acompress(compressor)), self.compress(compressor))

    def test_any_event_loop(self, compressor: BaseDocumentCompressor) -> None:
        """One object serves several loops, one after the other and at the same time."""
        expected = self.compress(compressor)
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda _: asyncio.run(self.acompress(compressor)), range(8)))
        for answer in answers:
            self.assert_same(answer, expected)

    def test_any_thread(self, compressor: BaseDocumentCompressor) -> None:
        """16 threads get what one caller gets."""
        expected = self.compress(compressor)
        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(lambda _: self.compress(compressor), range(32)))
        for answer in answers:
            self.assert_same(answer, expected)

    @pytest.mark.parametrize("is_async", [False, True])
    @pytest.mark.parametrize("is_empty", [False, True])
    def test_run_is_reported(self, compressor: BaseDocumentCompressor, is_async: bool, is_empty: bool) -> None:  # noqa: FBT001
        """A call starts one run and ends it, also without documents."""
        self.needs("callbacks")
        recorder = RunRecorder()
        documents = [] if is_empty else self.documents
        if is_async:
            asyncio.run(compressor.acompress_documents(documents, self.query, callbacks=[recorder]))
        else:
            compressor.compress_documents(documents, self.query, callbacks=[recorder])
        assert recorder.names == ["start", "end"]
        assert len({event.run_id for event in recorder.events}) == 1

    @pytest.mark.parametrize("is_async", [False, True])
    def test_failed_run_is_reported(self, compressor: BaseDocumentCompressor, is_async: bool) -> None:  # noqa: FBT001
        """A call that fails ends its run with the error."""
        self.needs("callbacks")
        recorder, no_query = RunRecorder(), cast("str", None)

        def call() -> object:
            if is_async:
                return asyncio.run(compressor.acompress_documents(self.documents, no_query, callbacks=[recorder]))
            return compressor.compress_documents(self.documents, no_query, callbacks=[recorder])

        with pytest.raises(Exception, match="query"):
            call()
        assert recorder.names == ["start", "error"]

    @pytest.mark.parametrize("is_async", [False, True])
    def test_inside_a_retriever(self, compressor: BaseDocumentCompressor, is_async: bool) -> None:  # noqa: FBT001
        """``ContextualCompressionRetriever`` gives the compressor's answer, its run the parent of ours."""
        module = pytest.importorskip("langchain_classic.retrievers.contextual_compression")
        retriever = module.ContextualCompressionRetriever(
            base_compressor=compressor, base_retriever=FixedRetriever(documents=self.documents)
        )
        recorder = RunRecorder()
        config = {"callbacks": [recorder], "tags": ["outer"]}
        answer = (
            asyncio.run(retriever.ainvoke(self.query, config)) if is_async else retriever.invoke(self.query, config)
        )
        self.assert_same(answer, self.compress(compressor))
        if "callbacks" in self.features:
            assert recorder.names == ["start", "end"]
            assert recorder.events[0].parent_run_id == recorder.retriever_runs[0]
            assert "outer" in recorder.events[0].tags

    @pytest.mark.parametrize("is_async", [False, True])
    def test_inside_a_pipeline(self, compressor: BaseDocumentCompressor, is_async: bool) -> None:  # noqa: FBT001
        """``DocumentCompressorPipeline`` takes it, callbacks included."""
        module = pytest.importorskip("langchain_classic.retrievers.document_compressors.base")
        pipeline = module.DocumentCompressorPipeline(transformers=[compressor])
        recorder = RunRecorder()
        answer = (
            asyncio.run(self.acompress(pipeline, callbacks=[recorder]))
            if is_async
            else self.compress(pipeline, callbacks=[recorder])
        )
        self.assert_same(answer, self.compress(compressor))
        assert recorder.names == (["start", "end"] if "callbacks" in self.features else [])
