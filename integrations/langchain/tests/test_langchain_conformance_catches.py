"""The conformance suite finds the faults that published compressors have."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import pytest
from langchain_core.callbacks import Callbacks
from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_rerank_plugins import RerankCompressor
from rerank_plugins_testing.langchain import CompressorConformance

Fault = Callable[[RerankCompressor, Sequence[Document], str, Callbacks], list[Document]]


def honest(core: RerankCompressor, documents: Sequence[Document], query: str, callbacks: Callbacks) -> list[Document]:
    return core.compress_documents(documents, query, callbacks)


def writes_into_the_input(core: RerankCompressor, documents: Sequence[Document], *rest: Any) -> list[Document]:
    results = core.compress_documents(documents, *rest)
    for one in documents:
        one.metadata["relevance_score"] = 0.0
    return results


def shares_nested_metadata(core: RerankCompressor, documents: Sequence[Document], *rest: Any) -> list[Document]:
    results = core.compress_documents(documents, *rest)
    by_text = {one.page_content: one for one in documents}
    for one in results:
        one.metadata.update({k: v for k, v in by_text[one.page_content].metadata.items() if k != "relevance_score"})
    return results


def returns_numpy_scores(core: RerankCompressor, *rest: Any) -> list[Document]:
    results = core.compress_documents(*rest)
    for one in results:
        one.metadata["relevance_score"] = np.float32(one.metadata["relevance_score"])
    return results


def loses_ids(core: RerankCompressor, *rest: Any) -> list[Document]:
    return [Document(one.page_content, metadata=one.metadata) for one in core.compress_documents(*rest)]


def ranks_blanks_first(core: RerankCompressor, *rest: Any) -> list[Document]:
    return sorted(core.compress_documents(*rest), key=lambda one: bool(one.page_content.strip()))


def ignores_callbacks(
    core: RerankCompressor, documents: Sequence[Document], query: str, callbacks: Callbacks
) -> list[Document]:
    return core.compress_documents(documents, query)


def loses_the_mark(core: RerankCompressor, *rest: Any) -> list[Document]:
    results = core.compress_documents(*rest)
    for one in results:
        one.metadata.pop("rerank_fallback", None)
    return results


def empties_a_late_answer(core: RerankCompressor, *rest: Any) -> list[Document]:
    return [one for one in core.compress_documents(*rest) if "rerank_fallback" not in one.metadata]


class _Faulty(BaseDocumentCompressor):
    core: RerankCompressor
    fault: Fault

    def compress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> list[Document]:
        return self.fault(self.core, documents, query, callbacks)


def suite_of(folder: str, fault: Fault) -> CompressorConformance:
    class Suite(CompressorConformance):
        @property
        def compressor_class(self) -> type[BaseDocumentCompressor]:
            return _Faulty

        def make(self, **options: Any) -> BaseDocumentCompressor:
            return _Faulty(core=RerankCompressor(model=folder, device="cpu", **{"top_n": None, **options}), fault=fault)

        def standstill(self, compressor: Any) -> AbstractContextManager[None]:
            return super().standstill(compressor.core)

    return Suite()


FAULTS = [
    (writes_into_the_input, "test_documents_are_not_changed", ()),
    (shares_nested_metadata, "test_documents_are_not_changed", ()),
    (returns_numpy_scores, "test_scores_are_plain_floats", ()),
    (loses_ids, "test_documents_are_kept", ()),
    (loses_ids, "test_one_document", ()),
    (ranks_blanks_first, "test_blank_documents_rank_last", ()),
    (ranks_blanks_first, "test_best_first", ()),
    (ignores_callbacks, "test_run_is_reported", (False, True)),
    (ignores_callbacks, "test_failed_run_is_reported", (True,)),
    (ignores_callbacks, "test_inside_a_retriever", (False,)),
    (loses_the_mark, "test_retrieval_order", ("deadline", {"deadline_s": 0.02}, False)),
    (empties_a_late_answer, "test_retrieval_order", ("overloaded", {"max_waiting_tokens": 1}, True)),
]
WITHOUT_COMPRESSOR = {"test_retrieval_order"}


@pytest.mark.parametrize(("fault", "test", "arguments"), FAULTS, ids=lambda one: getattr(one, "__name__", None))
def test_fault_is_found(langchain_models: dict[str, str], fault: Fault, test: str, arguments: tuple[Any, ...]) -> None:
    folder = langchain_models["bert-reranker"]
    sound, faulty = suite_of(folder, honest), suite_of(folder, fault)
    getattr(sound, test)(*given(sound, test, arguments))
    with pytest.raises(AssertionError):
        getattr(faulty, test)(*given(faulty, test, arguments))


def given(suite: CompressorConformance, test: str, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    return arguments if test in WITHOUT_COMPRESSOR else (suite.make(), *arguments)
