"""What the conformance tests are built from: a retriever, a recording handler, and two claims."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from pydantic import Field

__all__ = [
    "ChainEvent",
    "FixedRetriever",
    "RunRecorder",
    "SubclassedDocument",
    "assert_same_results",
    "ids_of",
    "score_of",
]


class SubclassedDocument(Document):
    """A document with a field of its own."""

    weights: list[int] = Field(default_factory=lambda: [1, 2])
    """Anything that LangChain does not know."""


class FixedRetriever(BaseRetriever):
    """Returns the same documents for every query."""

    documents: list[Document]
    """What it returns."""

    def _get_relevant_documents(self, query: str, *, run_manager: CallbackManagerForRetrieverRun) -> list[Document]:
        return self.documents


@dataclass(frozen=True, slots=True)
class ChainEvent:
    """One event of a chain run.

    Attributes:
        name: ``start``, ``end`` or ``error``.
        run_id: The run.
        parent_run_id: The run that it is a part of.
        payload: Inputs, outputs or the error.
        details: Everything else that LangChain told.
    """

    name: str
    run_id: UUID
    parent_run_id: UUID | None
    payload: Any
    details: dict[str, Any]

    @property
    def tags(self) -> list[str]:
        """Tags of the run."""
        return self.details.get("tags") or []


class RunRecorder(BaseCallbackHandler):
    """Writes down the chain runs and the retriever runs that it is told of; errors in it are raised."""

    raise_error = True

    def __init__(self) -> None:
        self.events: list[ChainEvent] = []
        self.retriever_runs: list[UUID] = []

    @property
    def names(self) -> list[str]:
        """Names of the events, in order."""
        return [event.name for event in self.events]

    def on_chain_start(
        self, serialized: Any, inputs: Any, *, run_id: UUID, parent_run_id: UUID | None = None, **details: Any
    ) -> None:
        """Write down a start."""
        self.events.append(ChainEvent("start", run_id, parent_run_id, inputs, details))

    def on_chain_end(self, outputs: Any, *, run_id: UUID, parent_run_id: UUID | None = None, **details: Any) -> None:
        """Write down an end."""
        self.events.append(ChainEvent("end", run_id, parent_run_id, outputs, details))

    def on_chain_error(
        self, error: BaseException, *, run_id: UUID, parent_run_id: UUID | None = None, **details: Any
    ) -> None:
        """Write down an error."""
        self.events.append(ChainEvent("error", run_id, parent_run_id, error, details))

    def on_retriever_start(self, serialized: Any, query: str, *, run_id: UUID, **details: Any) -> None:
        """Write down which retriever runs there are."""
        self.retriever_runs.append(run_id)


def ids_of(documents: Sequence[Document]) -> list[str | None]:
    """Return the documents' ids, in order."""
    return [one.id for one in documents]


def score_of(document: Document) -> Any:
    """Return the score that a compressor wrote."""
    return document.metadata["relevance_score"]


def assert_same_results(answer: Sequence[Document], expected: Sequence[Document], *, tolerance: float) -> None:
    """Assert that two answers have the same documents in the same order, with the same scores.

    Scores may differ by ``tolerance``: batches of other sizes round differently.
    """
    assert ids_of(answer) == ids_of(expected)
    for one, other in zip(answer, expected, strict=True):
        assert one.page_content == other.page_content
        assert one.metadata.keys() == other.metadata.keys()
        if "relevance_score" in one.metadata:
            assert math.isclose(score_of(one), score_of(other), abs_tol=tolerance)
