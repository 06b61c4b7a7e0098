"""Settings for one call: many callers of one object, each with its own."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_core.runnables import ConfigurableField

from rerank_plugins_testing.langchain.base import SuiteBase
from rerank_plugins_testing.langchain.parts import FixedRetriever, ids_of

__all__ = ["SettingsTests"]

_N_CALLERS = 16


class SettingsTests(SuiteBase):
    """``with_settings``, ``using``, assignment, and a retriever's own ``configurable``."""

    @property
    def other_settings(self) -> dict[str, Any]:
        """Settings that change the answer; override it for a class that has more."""
        return {"top_n": 2, "score_unit": "probability"}

    @pytest.fixture
    def adjustable(self, compressor: BaseDocumentCompressor) -> Any:
        """Return a compressor that claims the feature."""
        self.needs("settings")
        return compressor

    def test_a_copy_with_settings(self, adjustable: Any) -> None:
        """It has them and the same model; the object that it was made from is as before."""
        before, dumped = self.compress(adjustable), adjustable.model_dump()
        copy = adjustable.with_settings(**self.other_settings)
        assert type(copy) is type(adjustable)
        answer = self.compress(copy)
        assert _told(answer) != _told(before)
        self.assert_same(self.compress(copy.model_copy()), answer)
        assert adjustable.model_dump() == dumped
        self.assert_same(self.compress(adjustable), before)

    @pytest.mark.parametrize("is_async", [False, True])
    def test_settings_for_a_block(self, adjustable: Any, is_async: bool) -> None:  # noqa: FBT001
        """In the block the object gives what the copy gives; behind it, and after an error, what it gave before."""

        def answer(of: Any) -> list[Document]:
            return asyncio.run(self.acompress(of)) if is_async else self.compress(of)

        before, expected = answer(adjustable), answer(adjustable.with_settings(**self.other_settings))
        with adjustable.using(**self.other_settings):
            self.assert_same(answer(adjustable), expected)
            with adjustable.using(top_n=1):
                self.assert_same(answer(adjustable), expected[:1])
            with pytest.raises(ZeroDivisionError), adjustable.using(top_n=1):
                _ = 1 / 0
            self.assert_same(answer(adjustable), expected)
        self.assert_same(answer(adjustable), before)

    def test_mistakes_are_found_before_the_block(self, adjustable: Any) -> None:
        """A copy is checked like any object; nothing is left behind."""
        for wrong, told in (({"topn": 2}, "top_n"), ({"top_n": 0}, "top_n"), ({"threshold": -3.5}, "threshold_unit")):
            with pytest.raises(ValueError, match=told):
                adjustable.with_settings(**wrong)
            with pytest.raises(ValueError, match=told), adjustable.using(**wrong):
                pytest.fail("the block was entered")

    def test_a_refused_value_changes_nothing(self, adjustable: Any) -> None:
        """Assignment is checked as a whole, and then happens or does not."""
        before = adjustable.model_dump()
        for name, value in (("top_n", 0), ("threshold", -3.5), ("score_unit", "logit")):
            with pytest.raises(ValueError, match=name):
                setattr(adjustable, name, value)
        assert adjustable.model_dump() == before

    def test_threads_with_settings_of_their_own(self, adjustable: Any) -> None:
        """Sixteen threads at once, by copy or by block: each gets its own answer."""
        barrier = Barrier(_N_CALLERS)

        def work(number: int) -> list[Document]:
            settings = self._settings_of(number)
            barrier.wait()
            if number % 3 == 0:
                return self.compress(adjustable.with_settings(**settings))
            with adjustable.using(**settings):
                return self.compress(adjustable)

        with ThreadPoolExecutor(_N_CALLERS) as pool:
            self._assert_own(adjustable, list(pool.map(work, range(_N_CALLERS))))

    def test_tasks_with_settings_of_their_own(self, adjustable: Any) -> None:
        """The same in one event loop, where calls wait for each other in the middle."""

        async def work(number: int) -> list[Document]:
            with adjustable.using(**self._settings_of(number)):
                await asyncio.sleep(0)
                return await self.acompress(adjustable)

        async def together() -> list[list[Document]]:
            return await asyncio.gather(*(work(number) for number in range(_N_CALLERS)))

        self._assert_own(adjustable, asyncio.run(together()))

    @pytest.mark.parametrize("is_async", [False, True])
    def test_configurable_of_a_retriever(self, adjustable: Any, is_async: bool) -> None:  # noqa: FBT001
        """A retriever whose compressor is a configurable field takes a copy per call, in a batch too."""
        retriever = self._retriever(adjustable).configurable_fields(base_compressor=ConfigurableField(id="reranker"))
        copies = [adjustable.with_settings(**self._settings_of(number)) for number in range(_N_CALLERS)]
        configs = [{"configurable": {"reranker": copy}} for copy in copies]
        queries = [self.query] * _N_CALLERS
        answers = asyncio.run(retriever.abatch(queries, configs)) if is_async else retriever.batch(queries, configs)
        self._assert_own(adjustable, answers)
        self.assert_same(retriever.invoke(self.query), self.compress(adjustable))

    @pytest.mark.parametrize("is_async", [False, True])
    def test_a_block_around_a_retriever(self, adjustable: Any, is_async: bool) -> None:  # noqa: FBT001
        """The threads of ``batch`` and the tasks of ``abatch`` are in the block."""
        retriever = self._retriever(adjustable)
        queries = [self.query] * 4
        with adjustable.using(**self.other_settings):
            answers = asyncio.run(retriever.abatch(queries)) if is_async else retriever.batch(queries)
        expected = self.compress(adjustable.with_settings(**self.other_settings))
        for answer in answers:
            self.assert_same(answer, expected)

    def _retriever(self, compressor: Any) -> Any:
        module = pytest.importorskip("langchain_classic.retrievers.contextual_compression")
        return module.ContextualCompressionRetriever(
            base_compressor=compressor, base_retriever=FixedRetriever(documents=self.documents)
        )

    def _settings_of(self, number: int) -> dict[str, Any]:
        """Return the settings of one caller: every second one has the others, and each another ``top_n``."""
        return {**(self.other_settings if number % 2 else {}), "top_n": number % 5 + 1}

    def _assert_own(self, adjustable: Any, answers: Sequence[list[Document]]) -> None:
        for number, answer in enumerate(answers):
            self.assert_same(answer, self.compress(adjustable.with_settings(**self._settings_of(number))))


def _told(documents: Sequence[Document]) -> list[tuple[str | None, Any]]:
    return list(zip(ids_of(documents), (one.metadata.get("relevance_score") for one in documents), strict=True))
