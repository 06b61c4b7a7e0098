"""Settings for one call: many callers of one object, each with its own."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from llama_index.core.schema import NodeWithScore
from llama_index.postprocessor.rerank_plugins.base import BaseRerankPostprocessor

from rerank_plugins_testing.llamaindex.base import (
    QUERY,
    ConformanceBase,
    MakePostprocessor,
    ScoredId,
    summary,
)

__all__ = ["SettingsConformance"]

_N_CALLERS = 16


class SettingsConformance(ConformanceBase):
    """``with_settings``, ``using``, and assignment."""

    @pytest.fixture
    def made(self, make: MakePostprocessor) -> BaseRerankPostprocessor:
        """Return one that gives all nodes back."""
        postprocessor = make(top_n=None)
        assert isinstance(postprocessor, BaseRerankPostprocessor)
        return postprocessor

    @pytest.fixture
    def other_settings(self) -> dict[str, Any]:
        """Return settings that change the result of a call; override it for a class that has more."""
        return {"top_n": 2, "score_unit": "probability"}

    def test_a_copy_with_settings(
        self, made: BaseRerankPostprocessor, nodes: list[NodeWithScore], other_settings: dict[str, Any]
    ) -> None:
        """It has them and the same model; the object that it was made from is as before."""
        before, dumped = made.postprocess_nodes(nodes, query_str=QUERY), made.to_dict()
        copy = made.with_settings(**other_settings)
        assert copy.reranker is made.reranker
        assert type(copy) is type(made)
        changed = copy.postprocess_nodes(nodes, query_str=QUERY)
        assert summary(changed) != summary(before)
        assert summary(type(made).from_dict(copy.to_dict()).postprocess_nodes(nodes, query_str=QUERY)) == summary(
            changed
        )
        assert made.to_dict() == dumped
        assert made.callback_manager is copy.callback_manager
        assert summary(made.postprocess_nodes(nodes, query_str=QUERY)) == summary(before)

    @pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
    def test_settings_for_a_block(
        self,
        made: BaseRerankPostprocessor,
        nodes: list[NodeWithScore],
        other_settings: dict[str, Any],
        is_async: bool,  # noqa: FBT001
    ) -> None:
        """In the block the object gives what the copy gives; behind it, and after an error, what it gave before."""
        before = summary(_call(made, nodes, is_async=is_async))
        expected = summary(_call(made.with_settings(**other_settings), nodes, is_async=is_async))
        with made.using(**other_settings):
            assert summary(_call(made, nodes, is_async=is_async)) == expected
            with made.using(top_n=1):
                assert summary(_call(made, nodes, is_async=is_async)) == expected[:1]
            with pytest.raises(ZeroDivisionError), made.using(top_n=1):
                _ = 1 / 0
            assert summary(_call(made, nodes, is_async=is_async)) == expected
        assert summary(_call(made, nodes, is_async=is_async)) == before

    def test_mistakes_are_found_before_the_block(self, made: BaseRerankPostprocessor) -> None:
        """A copy is checked like any object; nothing is left behind."""
        for wrong, told in (({"topn": 2}, "top_n"), ({"top_n": 0}, "top_n"), ({"threshold": -3.5}, "threshold_unit")):
            with pytest.raises(ValueError, match=told):
                made.with_settings(**wrong)
            with pytest.raises(ValueError, match=told), made.using(**wrong):
                pytest.fail("the block was entered")
            with pytest.raises(ValueError, match=told):
                made.model_copy(update=wrong)

    def test_a_refused_value_changes_nothing(self, made: BaseRerankPostprocessor) -> None:
        """Assignment is checked as a whole, and then happens or does not."""
        before = made.to_dict()
        for name, value in (("top_n", 0), ("threshold", -3.5), ("score_unit", "logit")):
            with pytest.raises(ValueError, match=name):
                setattr(made, name, value)
        assert made.to_dict() == before

    def test_threads_with_settings_of_their_own(
        self, made: BaseRerankPostprocessor, nodes: list[NodeWithScore], other_settings: dict[str, Any]
    ) -> None:
        """Sixteen threads at once, by copy or by block: each gets its own result."""
        barrier = Barrier(_N_CALLERS)

        def work(number: int) -> list[ScoredId]:
            settings = _settings_of(number, other_settings)
            barrier.wait()
            if number % 3 == 0:
                return summary(made.with_settings(**settings).postprocess_nodes(nodes, query_str=QUERY))
            with made.using(**settings):
                return summary(made.postprocess_nodes(nodes, query_str=QUERY))

        expected = self._expected(made, nodes, other_settings)
        with ThreadPoolExecutor(_N_CALLERS) as pool:
            assert list(pool.map(work, range(_N_CALLERS))) == expected

    def test_tasks_with_settings_of_their_own(
        self, made: BaseRerankPostprocessor, nodes: list[NodeWithScore], other_settings: dict[str, Any]
    ) -> None:
        """The same in one event loop, where calls wait for each other in the middle."""

        async def work(number: int) -> list[ScoredId]:
            with made.using(**_settings_of(number, other_settings)):
                await asyncio.sleep(0)
                return summary(await made.apostprocess_nodes(nodes, query_str=QUERY))

        async def together() -> list[list[ScoredId]]:
            return await asyncio.gather(*(work(number) for number in range(_N_CALLERS)))

        assert asyncio.run(together()) == self._expected(made, nodes, other_settings)

    def _expected(
        self, made: BaseRerankPostprocessor, nodes: list[NodeWithScore], other_settings: dict[str, Any]
    ) -> list[list[ScoredId]]:
        copies = [made.with_settings(**_settings_of(number, other_settings)) for number in range(_N_CALLERS)]
        return [summary(copy.postprocess_nodes(nodes, query_str=QUERY)) for copy in copies]


def _call(made: BaseRerankPostprocessor, nodes: list[NodeWithScore], *, is_async: bool) -> list[NodeWithScore]:
    if is_async:
        return asyncio.run(made.apostprocess_nodes(nodes, query_str=QUERY))
    return made.postprocess_nodes(nodes, query_str=QUERY)


def _settings_of(number: int, other: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of one caller: every second one has the others, and each another top_n."""
    return {**(other if number % 2 else {}), "top_n": number % 5 + 1}
