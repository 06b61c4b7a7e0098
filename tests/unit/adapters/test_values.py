"""Options that come as text, as a stored mapping, or as what they are not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rerank_plugins import LayerOptions, LongDocuments
from rerank_plugins.adapters.descriptions import OPTIONS
from rerank_plugins.adapters.values import as_name, as_number, as_options, as_real
from rerank_plugins.errors import InvalidInputError


@given(st.integers(-(10**17), 10**17))
@settings(derandomize=True, deadline=None)
def test_the_text_of_an_integer_is_that_integer(number: int) -> None:
    assert as_number(str(number)) == number
    assert as_number(f" {number} ") == number
    assert type(as_number(str(number))) is int


@given(st.floats(-1e50, 1e50))
@settings(derandomize=True, deadline=None)
def test_the_text_of_a_float_is_that_float(number: float) -> None:
    assert as_number(repr(number)) == number
    assert as_real(repr(number)) == as_real(number) == number


@pytest.mark.parametrize(
    "text", ["", " ", "True", "3 results", "1_000", "0x10", "nan", "inf", "\u0663", "--1", "1e", "."]
)
def test_other_texts_are_no_numbers(text: str) -> None:
    assert as_number(text) is text
    with pytest.raises(InvalidInputError, match="must be a finite number"):
        as_real(text)


@pytest.mark.parametrize(
    "value",
    [True, False, float("nan"), float("inf"), 10**400, 1j, [1.0], {}, b"1", np.ones(1), np.bool_(True), object()],
)
def test_what_is_no_real_number(value: Any) -> None:
    with pytest.raises(InvalidInputError, match="must be a finite number"):
        as_real(value)


def test_real_numbers() -> None:
    assert as_real(None) is None
    assert [as_real(one) for one in (1, 0.5, np.float32(0.5), np.int64(3), "2")] == [1.0, 0.5, 0.5, 3.0, 2.0]
    assert all(type(as_real(one)) is float for one in (1, np.float32(0.5), np.int64(3)))


@pytest.mark.parametrize("name", ["mini", "BAAI/bge-m3", "/a folder/\u5317\u4eac", Path("x") / "y", "x" * 255])
def test_names_are_taken(name: str | Path) -> None:
    assert as_name(name) == str(name)


@pytest.mark.parametrize("name", ["", " ", "a\0b", "\ud800", "x" * 256, "x/" * 3000, Path("a\0b")])
def test_names_that_no_file_can_have(name: str | Path) -> None:
    with pytest.raises(InvalidInputError, match="a file can have"):
        as_name(name)


def test_stored_options_are_made_again() -> None:
    long = LongDocuments(strategy="topkmean", top_k=2)
    assert as_options(LongDocuments, {"strategy": "topkmean", "top_k": 2}) == long
    assert as_options(LayerOptions, {"cutoff_layers": [2]}) == LayerOptions(cutoff_layers=(2,))
    for one in (long, None, 3, "maxp"):
        assert as_options(LongDocuments, one) is one
    for unknown in ({"nonsense": 1}, {1: 2}):
        with pytest.raises(InvalidInputError, match="Its options: strategy, overlap_tokens"):
            as_options(LongDocuments, unknown)


def test_descriptions_are_plain_sentences() -> None:
    for name, text in OPTIONS.items():
        assert text == " ".join(text.split()), name
        assert text.endswith("."), name
        assert "`" not in text, name
