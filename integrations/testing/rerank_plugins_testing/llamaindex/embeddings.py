"""A conformance suite for embeddings: inherit it, define the fixture ``make``, run pytest.

Each test's docstring says what to check when it fails. Needs pytest.
"""

from __future__ import annotations

import asyncio
import json
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from typing import Any

import pytest
from llama_index.core.base.embeddings.base import BaseEmbedding

__all__ = ["EmbeddingConformance"]

_TEXTS = [
    "The giant panda eats bamboo.",
    "Paris is the capital of France.\nBerlin is the capital of Germany.",
    "How do I renew a passport?",
    "a",
]
_QUERY = "What does a panda eat?"


def _close(found: Any, expected: Any) -> bool:
    flat = [value for row in found for value in row]
    return flat == pytest.approx([value for row in expected for value in row], abs=1e-4)


def _pools_instruction(made: BaseEmbedding) -> bool:
    spec = getattr(getattr(made, "embedder", None), "spec", None)
    return spec is None or bool(spec.pools_instruction)


class EmbeddingConformance:
    """What an embedding of this package promises."""

    @pytest.fixture
    def make(self) -> Callable[..., BaseEmbedding]:
        """Return a callable that takes options and returns an embedding. Override it."""
        msg = "define a fixture 'make' that returns a callable: options in, embedding out"
        raise NotImplementedError(msg)

    def test_is_an_embedding(self, make: Callable[..., BaseEmbedding]) -> None:
        """LlamaIndex accepts BaseEmbedding only."""
        assert isinstance(make(), BaseEmbedding)

    def test_python_floats(self, make: Callable[..., BaseEmbedding]) -> None:
        """Vector stores and JSON take lists of Python floats."""
        made = make()
        for vector in (made.get_query_embedding(_QUERY), *made.get_text_embedding_batch(_TEXTS)):
            assert type(vector) is list
            assert {type(value) for value in vector} == {float}
            json.dumps(vector)

    def test_no_texts(self, make: Callable[..., BaseEmbedding]) -> None:
        """Nothing in, nothing out."""
        assert make().get_text_embedding_batch([]) == []

    def test_each_side_gets_its_instruction(self, make: Callable[..., BaseEmbedding]) -> None:
        """An instruction equals the same words in front of the text, on its side and not on the other.

        Models that leave the instruction out of the mean (INSTRUCTOR) change the vector in another way.
        """
        plain = make(query_instruction="", document_instruction="")
        asked = make(query_instruction="ask: ", document_instruction="")
        told = make(query_instruction="", text_instruction="tell: ")
        query = plain.get_query_embedding(f"ask: {_QUERY}")
        text = plain.get_text_embedding(f"tell: {_TEXTS[0]}")
        is_pooled = _pools_instruction(plain)
        assert _close([asked.get_query_embedding(_QUERY)], [query]) == is_pooled
        assert not _close([asked.get_query_embedding(_QUERY)], [plain.get_query_embedding(_QUERY)])
        assert _close([asked.get_text_embedding(_QUERY)], [plain.get_text_embedding(_QUERY)])
        assert _close([told.get_text_embedding(_TEXTS[0])], [text]) == is_pooled
        assert not _close([told.get_text_embedding(_TEXTS[0])], [plain.get_text_embedding(_TEXTS[0])])
        assert _close([told.get_query_embedding(_QUERY)], [plain.get_query_embedding(_QUERY)])

    def test_newlines_are_kept(self, make: Callable[..., BaseEmbedding], monkeypatch: pytest.MonkeyPatch) -> None:
        """The core gets the text as it is; replacing line breaks changes the tokens of many models."""
        made = make()
        embedder = getattr(made, "embedder", None)
        if embedder is None:
            pytest.skip("there is no core embedder to watch")
        seen: list[str] = []
        embed = embedder.embed_documents

        def watched(texts: list[str]) -> Any:
            seen.extend(texts)
            return embed(texts)

        monkeypatch.setattr(embedder, "embed_documents", watched)
        text = "first line\n\nsecond\tline\r\n"
        made.get_text_embedding(text)
        made.get_text_embedding_batch([text])
        assert seen == [text, text]

    @pytest.mark.parametrize("batch_size", [1, 3, 2048])
    def test_batch_size_does_not_matter(self, make: Callable[..., BaseEmbedding], batch_size: int) -> None:
        """Vectors do not depend on what else is in the batch, and keep input order."""
        made = make(embed_batch_size=batch_size)
        assert _close(made.get_text_embedding_batch(_TEXTS), [made.get_text_embedding(text) for text in _TEXTS])

    def test_async_equals_sync(self, make: Callable[..., BaseEmbedding]) -> None:
        """From any event loop, one after the other."""
        made = make(embed_batch_size=2)
        for _ in range(2):
            assert _close(asyncio.run(made.aget_text_embedding_batch(_TEXTS)), made.get_text_embedding_batch(_TEXTS))
            assert _close([asyncio.run(made.aget_query_embedding(_QUERY))], [made.get_query_embedding(_QUERY)])
            assert _close([asyncio.run(made.aget_text_embedding("a"))], [made.get_text_embedding("a")])

    def test_threads(self, make: Callable[..., BaseEmbedding]) -> None:
        """Sixteen threads at once get the serial vectors."""
        made = make()
        texts = [f"{_TEXTS[index % 4]} {index}" for index in range(16)]
        with ThreadPoolExecutor(16) as pool:
            found = list(pool.map(made.get_text_embedding, texts))
        assert _close(found, [made.get_text_embedding(text) for text in texts])

    def test_the_engine_packs(self, make: Callable[..., BaseEmbedding]) -> None:
        """LlamaIndex's own default of 10 texts per call leaves an accelerator idle."""
        assert make().embed_batch_size > 10

    def test_unknown_option(self, make: Callable[..., BaseEmbedding]) -> None:
        """A misspelt option must not be swallowed; the message names the right one."""
        with pytest.raises(ValueError, match="query_instruction"):
            make(query_instructions="x")

    def test_round_trips(self, make: Callable[..., BaseEmbedding]) -> None:
        """Configurations are stored as dict and JSON, sent to processes as pickle, and copied."""
        made = make(query_instruction="ask: ", embed_batch_size=7)
        kind = type(made)
        expected = made.get_query_embedding(_QUERY)
        again = [
            kind.from_dict(made.to_dict()),
            kind.from_json(made.to_json()),
            pickle.loads(pickle.dumps(made)),  # noqa: S301 - our own bytes
            deepcopy(made),
        ]
        for one in again:
            assert one.to_dict() == made.to_dict()
            assert _close([one.get_query_embedding(_QUERY)], [expected])
        assert made.to_dict()["class_name"] == kind.class_name()
