"""An index with its documents: searched, grown, and what is refused; and methods that run in a thread."""

from __future__ import annotations

import asyncio
import copy
import inspect
import pickle
import threading

import pytest

from rerank_plugins.adapters.corpus import Corpus, async_version
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.retrieval import build_first_stage

TEXTS = {"a": "the giant panda", "b": "the red fox", "c": "a panda and a fox"}
ITEMS = {key: {"text": text} for key, text in TEXTS.items()}


@pytest.fixture
def corpus() -> Corpus[dict[str, str]]:
    pytest.importorskip("bm25s")
    return Corpus(build_first_stage(TEXTS, retriever="bm25"), ITEMS, TEXTS)


def test_documents_come_back_with_their_scores(corpus: Corpus[dict[str, str]]) -> None:
    found = corpus.search("panda", top_k=5)
    scores = corpus.first_stage.search("panda", top_k=5)
    assert found == [(ITEMS[key], score) for key, score in scores.items()]
    assert len(found) == 2
    assert asyncio.run(corpus.asearch("panda", top_k=5)) == found
    assert corpus.search("panda", top_k=1) == found[:1]


def test_it_grows_and_the_old_one_stays(corpus: Corpus[dict[str, str]]) -> None:
    more = corpus.grown({"d": {"text": "a blue whale"}}, {"d": "a blue whale"})
    assert [one["text"] for one, _ in more.search("whale", top_k=5)] == ["a blue whale"]
    assert list(more.items) == list(more.texts or ()) == ["a", "b", "c", "d"]
    assert corpus.search("whale", top_k=5) == []
    assert corpus.grown({}, {}) is corpus


def test_what_was_indexed_elsewhere_does_not_grow() -> None:
    pytest.importorskip("bm25s")
    affixes = Corpus(build_first_stage(TEXTS, retriever="bm25"), ITEMS, None)
    with pytest.raises(InvalidInputError, match=r"made around a first stage.*FirstStageRetriever\.from_documents"):
        affixes.grown(ITEMS, TEXTS)


def test_a_document_that_is_not_there_is_told() -> None:
    pytest.importorskip("bm25s")
    lacking = Corpus(build_first_stage(TEXTS, retriever="bm25"), {"b": ITEMS["b"]}, TEXTS)
    with pytest.raises(InvalidInputError, match=r"found 'a'.* pass what was indexed"):
        lacking.search("giant", top_k=5)


def test_copies_and_pickles_find_the_same(corpus: Corpus[dict[str, str]]) -> None:
    for again in (copy.copy(corpus), copy.deepcopy(corpus), pickle.loads(pickle.dumps(corpus))):
        assert again.search("panda", top_k=5) == corpus.search("panda", top_k=5)


class Worker:
    def work(self, number: int, *, factor: int = 2) -> tuple[int, int]:
        """Multiply."""
        if factor == 0:
            msg = "no factor"
            raise ValueError(msg)
        return number * factor, threading.get_ident()

    awork = async_version(work)


class Other(Worker):
    def work(self, number: int, *, factor: int = 2) -> tuple[int, int]:
        return number, threading.get_ident()


def test_a_twin_does_the_same_in_a_thread() -> None:
    value, thread = asyncio.run(Worker().awork(3, factor=5))
    assert value == 15
    assert thread != threading.get_ident()
    assert asyncio.run(Other().awork(3))[0] == 3
    with pytest.raises(ValueError, match="no factor"):
        asyncio.run(Worker().awork(1, factor=0))


def test_a_twin_looks_like_a_method() -> None:
    assert inspect.iscoroutinefunction(Worker.awork)
    assert inspect.signature(Worker.awork).parameters.keys() == {"self", "number", "factor"}
    assert (Worker.awork.__name__, Worker.awork.__qualname__) == ("awork", "Worker.awork")
    assert Worker.awork.__doc__ == "Do what :meth:`work` does, without blocking the event loop."
