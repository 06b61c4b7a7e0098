"""One object, many callers: threads and event loops get what a lone caller gets."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from llama_index.core.schema import NodeWithScore

from rerank_plugins_testing.llamaindex.base import (
    QUERY,
    ConformanceBase,
    MakePostprocessor,
    summary,
)

__all__ = ["ConcurrencyConformance"]

_N_THREADS = 16


class ConcurrencyConformance(ConformanceBase):
    """Threads and event loops."""

    def test_async_equals_sync(self, make: MakePostprocessor, nodes: list[NodeWithScore]) -> None:
        """The same nodes with the same scores, in the same order."""
        made = make(top_n=None)
        expected = made.postprocess_nodes(nodes, query_str=QUERY)
        found = asyncio.run(made.apostprocess_nodes(nodes, query_str=QUERY))
        assert summary(found) == summary(expected)

    def test_several_event_loops(self, make: MakePostprocessor, nodes: list[NodeWithScore]) -> None:
        """Nothing may be bound to the loop that was used first."""
        made = make()
        found = [summary(asyncio.run(made.apostprocess_nodes(nodes, query_str=QUERY))) for _ in range(3)]
        assert found[0] == found[1] == found[2]

    def test_concurrent_coroutines(self, make: MakePostprocessor, nodes: list[NodeWithScore]) -> None:
        """Calls that wait together may share batches, and must not share results."""
        made = make(top_n=None)
        parts = [nodes[start:] for start in range(len(nodes))]

        async def together() -> list[list[NodeWithScore]]:
            return await asyncio.gather(*(made.apostprocess_nodes(part, query_str=QUERY) for part in parts))

        expected = [summary(made.postprocess_nodes(part, query_str=QUERY)) for part in parts]
        assert [summary(one) for one in asyncio.run(together())] == expected

    def test_threads(self, make: MakePostprocessor, nodes: list[NodeWithScore]) -> None:
        """Sixteen threads at once get the serial results."""
        made = make(top_n=None)
        queries = [f"{QUERY} {index % 4}" for index in range(_N_THREADS)]
        expected = [summary(made.postprocess_nodes(nodes, query_str=one)) for one in queries]
        with ThreadPoolExecutor(_N_THREADS) as pool:
            found = pool.map(lambda one: summary(made.postprocess_nodes(nodes, query_str=one)), queries)
            assert list(found) == expected
