"""What a backend of vectors gets from the embedder without writing any of it."""

from __future__ import annotations

import asyncio
import copy
import time
from collections.abc import Sequence
from zlib import crc32

import numpy as np
import pytest

from rerank_plugins import (
    Embedder,
    EngineOptions,
    InstructionOptions,
    QueryVectorCache,
    TwoStageRetriever,
    VectorOptions,
)
from rerank_plugins.backends import named
from rerank_plugins.backends.named import register_backend
from rerank_plugins.backends.vectors import SimpleTextEmbedder, embedder_spec
from rerank_plugins.calls.observing import CallRecord, add_observer
from rerank_plugins.catalog.spec import Instruction
from rerank_plugins.errors import DeadlineExceededError, EngineClosedError, InvalidInputError, ScoringError

TEXTS = ["pandas eat bamboo", "the tower in paris", "pandas", "pandas eat bamboo", ""]


class Hashed(SimpleTextEmbedder):
    """Counts words in 16 buckets."""

    def __init__(self, *, normalize: bool = True, max_length: int | None = None) -> None:
        instructions = {"retrieval": Instruction(query="ask: ")}
        self.spec = embedder_spec(
            "acme/hashed", dimensions=16, normalize=normalize, instructions=instructions, max_length=max_length
        )
        self.shown: list[str] = []

    def embed_texts(self, texts: Sequence[str], *, is_query: bool) -> list[list[float]]:
        self.shown += texts
        return [self.vector(text) for text in texts]

    @staticmethod
    def vector(text: str) -> list[float]:
        counts = [0.0] * 16
        for word in text.split():
            counts[crc32(word.encode()) % 16] += 1
        return counts


class Broken(Hashed):
    """Answers what a test wants."""

    def __init__(self, answer: object) -> None:
        super().__init__()
        self.answer = answer

    def embed_texts(self, texts: Sequence[str], *, is_query: bool) -> list[list[float]]:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer  # type: ignore[return-value]


def test_vectors_are_the_backends_own_scaled() -> None:
    backend = Hashed()
    rows = Embedder(backend=backend).embed_documents(TEXTS)
    expected = np.array([Hashed.vector(text) for text in TEXTS[:3]])
    assert rows[:3] == pytest.approx(expected / np.linalg.norm(expected, axis=1, keepdims=True))
    assert (rows.dtype, rows.shape) == (np.float32, (5, 16))
    assert np.array_equal(rows[0], rows[3])
    # Equal texts run once, and no vector is zero.
    assert backend.shown == ["pandas eat bamboo", "the tower in paris", "pandas", ""]
    assert np.linalg.norm(rows, axis=1) == pytest.approx(np.ones(5))
    whole = Embedder(backend=Hashed(normalize=False)).embed_documents(TEXTS[:2])
    assert whole == pytest.approx(expected[:2])


def test_queries_get_the_instruction_and_a_cache() -> None:
    backend = Hashed()
    embedder = Embedder(backend=backend, cache=QueryVectorCache(4))
    first = embedder.embed_queries(TEXTS[:2])
    assert backend.shown == ["ask: pandas eat bamboo", "ask: the tower in paris"]
    assert np.array_equal(embedder.embed_queries(TEXTS[:2]), first)
    assert len(backend.shown) == 2
    own = Embedder(backend=Hashed(), instruction=InstructionOptions(query="")).embed_queries(TEXTS[:1])
    assert not np.array_equal(own[0], first[0])


def test_async_dimensions_and_lengths() -> None:
    embedder = Embedder(backend=Hashed(max_length=2), vectors=VectorOptions(dimensions=8))
    rows = asyncio.run(embedder.aembed_documents(TEXTS[:3]))
    assert rows.shape == (3, 8)
    assert np.array_equal(rows, embedder.embed_documents(["pandas eat", "the tower", "pandas"]))
    with pytest.raises(InvalidInputError, match="more than the 16"):
        Embedder(backend=Hashed(), vectors=VectorOptions(dimensions=17))


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ([[1.0], [2.0]], "not one vector each"),
        ([1.0], "not one vector each"),
        ([["x"]], "failed with ValueError"),
        ([[float("inf")] * 16], "NaN or infinity for 1 of 1"),
        (None, "failed with TypeError|not one vector each"),
        (StopIteration(), "failed with StopIteration"),
        (KeyError("x"), "failed with KeyError"),
    ],
    ids=["two", "flat", "text", "inf", "none", "stop", "raises"],
)
def test_what_cannot_be_vectors_is_typed(answer: object, message: str) -> None:
    embedder = Embedder(backend=Broken(answer))
    with pytest.raises(ScoringError, match=message):
        embedder.embed_documents(["a"])
    with pytest.raises(ScoringError, match=message):
        asyncio.run(embedder.aembed_queries(["a"]))
    assert embedder.stats().calls_failed == 2


class Slow(Hashed):
    """Takes its time."""

    batch_texts = 1

    def embed_texts(self, texts: Sequence[str], *, is_query: bool) -> list[list[float]]:
        time.sleep(0.05)
        return super().embed_texts(texts, is_query=is_query)


def test_a_deadline_ends_the_call_and_the_work() -> None:
    backend = Slow()
    embedder, many = Embedder(backend=backend), [f"text {number}" for number in range(2_000)]
    with pytest.raises(DeadlineExceededError):
        embedder.embed_documents(many, deadline_s=0.12)
    with pytest.raises(DeadlineExceededError):
        asyncio.run(embedder.aembed_queries(many, deadline_s=0.12))
    assert len(backend.shown) < 200


def test_observers_copies_closing_and_refusals() -> None:
    records: list[CallRecord] = []
    stop = add_observer(records.append)
    embedder = Embedder(backend=Hashed(), engine=EngineOptions(deadline_s=60))
    assert embedder.engine.deadline_s == 60
    embedder.embed_documents(TEXTS)
    stop()
    assert [(one.operation, one.model, one.error) for one in records] == [("embed", "acme/hashed", None)]
    other = copy.deepcopy(embedder)
    embedder.close()
    with pytest.raises(EngineClosedError):
        embedder.embed_documents(["a"])
    assert other.embed_documents(["a"]).shape == (1, 16)
    with pytest.raises(InvalidInputError, match="dense vectors only"):
        other.encode_queries(["a"])
    with pytest.raises(InvalidInputError, match=r"device='cpu'.*'acme/hashed' is a backend"):
        Embedder(backend=Hashed(), device="cpu")
    with pytest.raises(InvalidInputError, match="embed, aembed"):
        Embedder(backend=3)  # type: ignore[arg-type]


def test_a_registered_name_serves_retrieval(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(named, "_OPENERS", {})
    register_backend("hashed", lambda _: Hashed(), kind="embedder")
    assert "hashed" in named.backend_names(kind="embedder")
    assert named.opener_of("hashed", kind="reranker") is None
    retriever = TwoStageRetriever.from_documents(
        TEXTS[:3], retriever="dense", embedder="hashed", reranker="mini", top_k=3, top_n=1
    )
    assert [one.text for one in retriever.search("bamboo for pandas")] == ["pandas eat bamboo"]
