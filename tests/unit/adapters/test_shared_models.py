"""Copies and pickles of what holds models and something of its framework's."""

from __future__ import annotations

import copy
import pickle
import threading
from typing import Any

import pytest

from rerank_plugins.adapters.copies import SharedModels


class Callbacks:
    """What a framework brings, which neither a copy nor a pickle can hold."""

    def __init__(self) -> None:
        self.lock = threading.Lock()


class Retriever(SharedModels):
    _not_copied = {"callbacks": Callbacks}  # noqa: RUF012

    def __init__(self, texts: list[str]) -> None:
        self.texts, self.callbacks = texts, Callbacks()
        self.itself = self


def test_a_copy_shares_everything() -> None:
    one = Retriever(["a"])
    again = copy.copy(one)
    assert again is not one
    assert vars(again) == vars(one)
    again.texts = []
    assert one.texts == ["a"]


def test_a_deep_copy_has_the_same_callbacks_and_its_own_texts() -> None:
    one = Retriever(["a"])
    again, same = copy.deepcopy([one, one])
    assert again is same
    assert again.itself is again
    assert again.texts == one.texts
    assert again.texts is not one.texts
    assert again.callbacks is one.callbacks


def test_a_pickle_makes_the_callbacks_anew() -> None:
    one = Retriever(["a"])
    again: Any = pickle.loads(pickle.dumps(one))
    assert again.texts == ["a"]
    assert isinstance(again.callbacks, Callbacks)
    assert again.callbacks is not one.callbacks
    with pytest.raises(TypeError):
        pickle.dumps(one.callbacks)
