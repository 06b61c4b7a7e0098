"""The ground that the conformance suite's parts stand on: what is under test, and with which documents."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import pytest
from langchain_core.documents import BaseDocumentCompressor, Document

from rerank_plugins_testing.langchain.parts import SubclassedDocument, assert_same_results

__all__ = ["ALL_FEATURES", "SuiteBase"]

ALL_FEATURES = frozenset({"scores", "threshold", "callbacks", "copies", "strict_options", "settings", "deadlines"})
"""``scores``: in metadata; ``threshold``: options ``threshold`` and ``threshold_unit``; ``callbacks``: each
call is a run; ``copies``: results are not the input objects; ``strict_options``: bad ones are refused;
``settings``: ``with_settings`` and ``using``; ``deadlines``: ``deadline_s``, ``max_waiting_tokens`` and what
``on_deadline`` says."""


class SuiteBase(ABC):
    """Base of the suite's parts."""

    @property
    @abstractmethod
    def compressor_class(self) -> type[BaseDocumentCompressor]:
        """The class under test."""

    @property
    def compressor_params(self) -> dict[str, Any]:
        """Options that make one; ``top_n`` is set by the tests."""
        return {}

    @property
    def features(self) -> frozenset[str]:
        """What the compressor claims to do, a subset of ``ALL_FEATURES``."""
        return ALL_FEATURES

    @property
    def tolerance(self) -> float:
        """How far scores may differ between batches; raise it for float16."""
        return 1e-4

    @property
    def query(self) -> str:
        """The question that is asked."""
        return "What is the capital of France?"

    @property
    def documents(self) -> list[Document]:
        """New documents at each access: ids, nested metadata, a line break, a subclass, two blanks."""
        return [
            Document("", id="empty"),
            Document("Berlin is the capital of Germany.", id="berlin", metadata={"score": 0.5, "tags": ["de"]}),
            Document("Paris is the capital of France.", id="paris", metadata={"source": {"page": 7}}),
            Document(" \n\t ", id="blank"),
            SubclassedDocument(page_content="The panda eats\nbamboo.", id="panda", metadata={"tags": ["zoo"]}),
            Document("Which river flows through Berlin?", metadata={"relevance_score": 0.25}),
        ]

    def make(self, **options: Any) -> BaseDocumentCompressor:
        """Return a compressor with ``compressor_params`` and ``options``, all documents returned unless told."""
        return self.compressor_class(**{"top_n": 100, **self.compressor_params, **options})

    @pytest.fixture
    def compressor(self) -> BaseDocumentCompressor:
        """Return a compressor that returns all documents."""
        return self.make()

    def needs(self, feature: str) -> None:
        """Skip the test unless the compressor claims ``feature``."""
        if feature not in self.features:
            pytest.skip(f"{self.compressor_class.__name__} does not claim {feature!r}")

    def compress(self, compressor: BaseDocumentCompressor, **options: Any) -> list[Document]:
        """Return the compressor's answer for the suite's documents, as a list."""
        return list(compressor.compress_documents(self.documents, self.query, **options))

    async def acompress(self, compressor: BaseDocumentCompressor, **options: Any) -> list[Document]:
        """Return what :meth:`compress` returns, by the async method."""
        return list(await compressor.acompress_documents(self.documents, self.query, **options))

    def assert_same(self, answer: Sequence[Document], expected: Sequence[Document]) -> None:
        """Assert that two answers have the same documents, order and scores."""
        assert_same_results(answer, expected, tolerance=self.tolerance)
