"""What every embedder must do, whatever its family. Inherit, give an embedder, and the tests are yours.

class TestMyEmbedder(EmbedderConformance):
    @pytest.fixture
    def embedder(self): return Embedder(...)
"""

from __future__ import annotations

import asyncio
import copy
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from rerank_plugins import Embedder
from rerank_plugins.errors import EngineClosedError, InvalidInputError

TOLERANCE = 1e-5

TEXTS = [
    "The giant panda eats bamboo and sleeps most of the day.",
    "Net revenue grew by 12.5 % in 2019.",
    "大熊猫是中国特有的物种，主要以竹子为食。",
    "Paris is the capital of France.\n\n  Berlin   is the capital of Germany.\t👍 é ﬁ",
    "panda " * 900,
    "a",
]


def assert_close(found: Any, expected: Any) -> None:
    """Same shape, and every number within the tolerance of the largest."""
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= TOLERANCE * max(1.0, float(np.abs(expected).max()))


class EmbedderConformance:
    """Inheritable tests; the subclass gives the fixture ``embedder`` (float32)."""

    @pytest.fixture
    def embedder(self) -> Embedder:
        raise NotImplementedError

    @pytest.fixture(params=["queries", "documents"])
    def embed(self, request: pytest.FixtureRequest, embedder: Embedder) -> Callable[[list[str]], Any]:
        """Each side in turn."""
        return embedder.embed_queries if request.param == "queries" else embedder.embed_documents

    def test_shape_type_and_norm(self, embedder: Embedder, embed: Callable[[list[str]], Any]) -> None:
        vectors = embed(TEXTS)
        assert vectors.dtype == np.float32
        assert vectors.shape == (len(TEXTS), embedder.dimensions)
        assert np.isfinite(vectors).all()
        if embedder.normalize:
            assert np.linalg.norm(vectors, axis=1) == pytest.approx(1.0, abs=1e-5)

    def test_input_order(self, embed: Callable[[list[str]], Any]) -> None:
        assert_close(embed(TEXTS[::-1])[::-1], embed(TEXTS))

    def test_different_texts_get_different_vectors(self, embed: Callable[[list[str]], Any]) -> None:
        vectors = embed(TEXTS)
        distances = np.abs(vectors[:, None] - vectors[None]).max(axis=2)
        assert (distances[~np.eye(len(TEXTS), dtype=bool)] > 1e-3).all()

    def test_one_by_one_equals_batched(self, embed: Callable[[list[str]], Any]) -> None:
        texts = TEXTS * 3
        assert_close(embed(texts), np.concatenate([embed([text]) for text in texts]))

    def test_the_same_call_gives_the_same_vectors(self, embed: Callable[[list[str]], Any]) -> None:
        assert np.array_equal(embed(TEXTS), embed(TEXTS))

    def test_equal_texts_get_equal_vectors(self, embed: Callable[[list[str]], Any]) -> None:
        vectors = embed([TEXTS[0], TEXTS[1], TEXTS[0]])
        assert np.array_equal(vectors[0], vectors[2])

    def test_nothing_in_nothing_out(self, embedder: Embedder, embed: Callable[[list[str]], Any]) -> None:
        assert embed([]).shape == (0, embedder.dimensions)
        assert asyncio.run(embedder.aembed_queries([])).shape == (0, embedder.dimensions)

    def test_inputs_are_not_changed(self, embed: Callable[[list[str]], Any]) -> None:
        texts = list(TEXTS)
        before = copy.deepcopy(texts)
        embed(texts)
        assert texts == before

    def test_the_callers_vectors_are_its_own(self, embed: Callable[[list[str]], Any]) -> None:
        first = embed(TEXTS[:2])
        expected = first.copy()
        first[:] = 0.0
        assert np.array_equal(embed(TEXTS[:2]), expected)

    def test_a_text_is_cut_at_its_end_only(self, embedder: Embedder, embed: Callable[[list[str]], Any]) -> None:
        """What lies behind the cut does not count; what lies before it does, and so do instruction and last token."""
        head = "bamboo " * embedder.max_length
        long, longer, other = embed([head, head + "Net revenue grew. " * 50, "revenue " + head])
        assert_close(long[None], longer[None])
        assert np.abs(long - other).max() > 1e-4

    def test_odd_text_is_embedded(self, embed: Callable[[list[str]], Any]) -> None:
        odd = ["", " ", "\n", "\ud800 lone", "\x00\x01", "🏳️‍🌈" * 50, "x" * 20_000, "‮مرحبا", "ﷺ" * 300, "</s>", "{task}"]
        assert np.isfinite(embed(odd)).all()

    def test_async_equals_sync_on_any_event_loop(self, embedder: Embedder) -> None:
        async def call() -> tuple[Any, Any]:
            several = await asyncio.gather(*(embedder.aembed_queries(TEXTS) for _ in range(5)))
            return several[-1], await embedder.aembed_documents(TEXTS)

        for _ in range(2):
            queries, documents = asyncio.run(call())
            assert_close(queries, embedder.embed_queries(TEXTS))
            assert_close(documents, embedder.embed_documents(TEXTS))

    def test_16_threads_equal_the_serial_run(self, embedder: Embedder) -> None:
        chance = random.Random(3)
        requests = [(chance.random() < 0.5, chance.sample(TEXTS, k=chance.randint(1, 4))) for _ in range(48)]

        def run(request: tuple[bool, list[str]]) -> Any:
            as_queries, texts = request
            return embedder.embed_queries(texts) if as_queries else embedder.embed_documents(texts)

        serial = [run(request) for request in requests]
        with ThreadPoolExecutor(16) as pool:
            threaded = list(pool.map(run, requests))
        for one, other in zip(serial, threaded, strict=True):
            assert_close(other, one)

    @pytest.mark.parametrize("bad", ["a string", 5, {"a": "b"}, {"a"}, [1], [None], [b"x"], None])
    def test_wrong_types_are_refused(self, embed: Callable[[Any], Any], bad: object) -> None:
        with pytest.raises(InvalidInputError, match="got"):
            embed(bad)

    def test_closing_ends_it(self, embedder: Embedder) -> None:
        embedder.embed_queries(TEXTS[:1])
        embedder.close()
        embedder.close()
        with pytest.raises(EngineClosedError):
            embedder.embed_queries(TEXTS[:1])
