"""What comes back when scores do not: the retrieval order, marked as such, or the error."""

from __future__ import annotations

import asyncio
import copy
import json
import logging
from contextlib import AbstractContextManager
from typing import Any

import pytest
from langchain_core.documents import BaseDocumentCompressor, Document

from rerank_plugins.errors import DeadlineExceededError, OverloadedError
from rerank_plugins.testing import standstill
from rerank_plugins_testing.langchain.base import SuiteBase
from rerank_plugins_testing.langchain.parts import RunRecorder, ids_of

__all__ = ["DeadlineTests"]

_ERRORS = {"deadline": DeadlineExceededError, "overloaded": OverloadedError}
_FALLBACK = "rerank_fallback"


class DeadlineTests(SuiteBase):
    """Deadlines and overload, on a model that stands still."""

    def standstill(self, compressor: Any) -> AbstractContextManager[None]:
        """Return a block in which the compressor's model answers nobody; override it for another engine."""
        return standstill(compressor.reranker)

    @pytest.fixture(params=["deadline", "overloaded"])
    def reason(self, request: pytest.FixtureRequest) -> str:
        """Return why there are no scores."""
        self.needs("deadlines")
        chosen: str = request.param
        return chosen

    @pytest.fixture
    def limits(self, reason: str) -> dict[str, Any]:
        """Return the option that leads to it; the deadline is there in any case, so that no test waits for ever."""
        return {"deadline_s": 0.02} if reason == "deadline" else {"deadline_s": 30.0, "max_waiting_tokens": 1}

    @pytest.mark.parametrize("is_async", [False, True])
    def test_retrieval_order(self, reason: str, limits: dict[str, Any], is_async: bool) -> None:  # noqa: FBT001
        """Copies of the first ``top_n`` as they came, each marked, the threshold not applied."""
        compressor, documents = self.make(top_n=4, **limits), self.documents
        before = copy.deepcopy(documents)
        with self.standstill(compressor):
            results = self._answer(compressor, documents, is_async=is_async)
        assert ids_of(results) == ids_of(before[:4])
        for one, given in zip(results, before, strict=False):
            assert (type(one), one.page_content) == (type(given), given.page_content)
            assert one.metadata == {**given.metadata, _FALLBACK: reason}
            assert json.loads(json.dumps(one.metadata)) == one.metadata
            one.metadata["added"] = True
            one.metadata.get("tags", []).append("added")
            one.metadata.get("source", {})["added"] = True
        assert documents == before

    def test_no_threshold_without_scores(self, limits: dict[str, Any]) -> None:
        """A threshold that keeps nothing keeps everything that was not scored."""
        self.needs("threshold")
        compressor = self.make(threshold=1.0, **limits)
        with self.standstill(compressor):
            assert len(self.compress(compressor)) == len(self.documents)

    def test_the_mark_goes_when_documents_are_reranked(self, limits: dict[str, Any]) -> None:
        """A fallback is of one call; reranking its results gives what reranking the documents gives."""
        compressor = self.make(**limits)
        with self.standstill(compressor):
            fallen = self.compress(compressor)
        patient = self.make()
        self.assert_same(list(patient.compress_documents(fallen, self.query)), self.compress(patient))

    @pytest.mark.parametrize("is_async", [False, True])
    def test_a_fallback_is_reported(self, reason: str, limits: dict[str, Any], is_async: bool) -> None:  # noqa: FBT001
        """The run ends without an error, its outputs are the documents and the reason."""
        self.needs("callbacks")
        compressor, recorder = self.make(**limits), RunRecorder()
        with self.standstill(compressor):
            results = self._answer(compressor, self.documents, is_async=is_async, callbacks=[recorder])
        assert recorder.names == ["start", "end"]
        assert recorder.events[-1].payload == {"documents": results, _FALLBACK: reason}

    def test_a_fallback_is_logged(self, reason: str, limits: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
        """One warning, which has the reason and nobody's text."""
        compressor = self.make(**limits)
        with self.standstill(compressor), caplog.at_level(logging.WARNING):
            self.compress(compressor)
        told = [record.getMessage() for record in caplog.records if f"({reason})" in record.getMessage()]
        assert len(told) == 1
        assert all(text not in told[0] for text in ("capital", "Paris", "panda"))

    @pytest.mark.parametrize("is_async", [False, True])
    def test_the_error_on_request(self, reason: str, limits: dict[str, Any], is_async: bool) -> None:  # noqa: FBT001
        """``on_deadline="raise"``: it reaches the caller, and the run ends with it."""
        compressor, recorder = self.make(on_deadline="raise", **limits), RunRecorder()
        with self.standstill(compressor), pytest.raises(_ERRORS[reason]):
            self._answer(compressor, self.documents, is_async=is_async, callbacks=[recorder])
        if "callbacks" in self.features:
            assert recorder.names == ["start", "error"]

    def test_nothing_changes_in_time(self, compressor: BaseDocumentCompressor) -> None:
        """A call that is in time, on a model that is free, gives what it gives without limits."""
        self.needs("deadlines")
        made = self.make(deadline_s=60, max_waiting_tokens=1, max_wait_ms=1.0, max_batch_tokens=64)
        self.assert_same(self.compress(made), self.compress(compressor))

    @pytest.mark.parametrize(
        ("option", "value"),
        [
            ("deadline_s", 0),
            ("deadline_s", float("inf")),
            ("deadline_s", True),
            ("deadline_s", "soon"),
            ("on_deadline", "retrieval"),
            ("max_waiting_tokens", 0),
            ("max_wait_ms", -1.0),
            ("max_batch_tokens", 0),
        ],
    )
    def test_impossible_limits(self, option: str, value: object) -> None:
        """They are refused when they are set."""
        self.needs("deadlines")
        self.needs("strict_options")
        with pytest.raises(ValueError, match=option):
            self.make(**{option: value})

    def _answer(
        self, compressor: BaseDocumentCompressor, documents: list[Document], *, is_async: bool, **options: Any
    ) -> list[Document]:
        if is_async:
            return list(asyncio.run(compressor.acompress_documents(documents, self.query, **options)))
        return list(compressor.compress_documents(documents, self.query, **options))
