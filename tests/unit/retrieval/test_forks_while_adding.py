"""A process that is forked while another thread adds documents, or keeps vectors, can add some itself."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from rerank_plugins import TokenVectorStore
from rerank_plugins.embedding.kept.store import files_of
from rerank_plugins.retrieval import BM25Index, TwoStageRetriever

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")


def ends_in_a_child(hold: Callable[[threading.Event, threading.Event], None], work: Callable[[], bool]) -> bool:
    """Return whether ``work`` is done in a child that is forked while a thread is in ``hold``."""
    held, go_on = threading.Event(), threading.Event()
    thread = threading.Thread(target=hold, args=(held, go_on))
    thread.start()
    held.wait(10.0)
    child = os.fork()
    if child == 0:
        signal.alarm(5)
        os._exit(0 if work() else 1)
    go_on.set()
    thread.join()
    return os.waitpid(child, 0)[1] == 0


def test_documents_can_be_added() -> None:
    class Slow(BM25Index):
        def with_texts(self, texts: dict[str, str]) -> BM25Index:  # type: ignore[override]
            if "slow" in texts.values():
                held.set()
                go_on.wait(10.0)
            return Slow({**self._texts, **texts})

    held, go_on = threading.Event(), threading.Event()
    retriever = TwoStageRetriever(Slow({"a": "panda"}), {"a": "panda"})

    def add(started: threading.Event, may_end: threading.Event) -> None:
        threading.Thread(target=lambda: (held.wait(10.0), started.set(), may_end.wait(10.0), go_on.set())).start()
        retriever.add_documents({"b": "slow"})

    assert ends_in_a_child(add, lambda: retriever.add_documents({"c": "quick"}) == ["c"])
    assert len(retriever) == 2


def test_a_store_can_be_read(tmp_path: Path) -> None:
    store = TokenVectorStore(tmp_path / "store")

    def add(started: threading.Event, may_end: threading.Event) -> None:
        with files_of(store)._adding:
            started.set()
            may_end.wait(10.0)

    def read() -> bool:
        (tmp_path / "store").mkdir()
        return len(store) == 0

    assert ends_in_a_child(add, read)
