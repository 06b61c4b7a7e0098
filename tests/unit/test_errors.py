"""What every error of the package does with its message, whoever wrote the words that it quotes."""

from __future__ import annotations

import copy
import pickle

import pytest

from rerank_plugins import errors

NAMES = errors.__all__


@pytest.mark.parametrize("name", NAMES)
def test_control_characters_are_spelled_out(name: str) -> None:
    error = getattr(errors, name)("a \x1b[2J\x07 name \u202e\ud800, next\nline")
    assert str(error) == "a \\x1b[2J\\x07 name \\u202e\\ud800, next\nline"


@pytest.mark.parametrize("name", NAMES)
def test_long_messages_keep_both_ends_and_survive_a_copy(name: str) -> None:
    error = getattr(errors, name)("What happened: " + "\x1b" * 100_000 + ". The way out.")
    assert len(str(error)) == 4_000
    assert str(error).startswith("What happened: ")
    assert str(error).endswith(". The way out.")
    assert str(pickle.loads(pickle.dumps(error))) == str(copy.copy(error)) == str(error)


@pytest.mark.parametrize("name", NAMES)
def test_without_a_message_too(name: str) -> None:
    assert str(getattr(errors, name)()) == ""
