"""Arguments of the retrievers: ids, queries, first stages."""

from __future__ import annotations

from typing import Any

import pytest

from rerank_plugins.adapters.arguments import call_limit, check_text_query, own_stage, settled_ids
from rerank_plugins.adapters.checks import check_list
from rerank_plugins.errors import InvalidInputError


def test_ids_are_those_given_then_their_own_then_new_ones() -> None:
    assert settled_ids(["x", "y"], own=["a", None]) == ["x", "y"]
    assert settled_ids(("x",), own=["a"]) == ["x"]
    kept, made = settled_ids(None, own=["a", None])
    assert kept == "a"
    assert made
    assert settled_ids(None, own=[None]) != [made]
    assert settled_ids(None, own=[]) == settled_ids([], own=[]) == []


@pytest.mark.parametrize(
    ("ids", "own", "message"),
    [
        ("ab", [None, None], "list of strings"),
        ([1], [None], "list of strings"),
        ([""], [None], "not empty"),
        ({"a"}, [None], "list of strings"),
        (["a"], [None, None], "1 ids for 2 documents"),
        (["a", "b"], [None], "2 ids for 1 documents"),
        (["a", "b", "a"], [None] * 3, "2 of the documents have the id 'a'"),
        (None, ["z", "z"], "2 of the documents have the id 'z'"),
    ],
)
def test_ids_that_cannot_be(ids: Any, own: list[str | None], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        settled_ids(ids, own=own)


@pytest.mark.parametrize(
    ("query", "got"), [(" \n", "a blank one"), ("", "a blank one"), (None, "NoneType"), ([], "list")]
)
def test_queries_that_ask_nothing(query: object, got: str) -> None:
    check_text_query("x")
    with pytest.raises(InvalidInputError, match=f"not blank, got {got}"):
        check_text_query(query)


def test_first_stages_made_elsewhere() -> None:
    assert own_stage(True, bool, otherwise="") is True
    with pytest.raises(InvalidInputError, match="the first stage is a int, made elsewhere: do that"):
        own_stage(3, str, otherwise="do that")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("ab", r"nodes must be a list of things, got str; put a single one into a list"),
        (b"ab", "got bytes"),
        ({"a"}, "got set"),
        (None, "got NoneType"),
        (["a", 1], r"nodes\[1\] must be a text; got int"),
    ],
)
def test_lists(given: object, message: str) -> None:
    check_list("nodes", ("a",), str, plural="things", expected="a text")
    with pytest.raises(InvalidInputError, match=message):
        check_list("nodes", given, str, plural="things", expected="a text")


@pytest.mark.parametrize(
    ("options", "limit"),
    [
        ({}, None),
        ({"top_n": 3}, 3),
        ({"k": 3}, 3),
        ({"k": " 3 "}, 3),
        ({"top_n": 3, "k": 3, "verbose": True}, 3),
        ({"top_n": None, "k": 2}, 2),
    ],
)
def test_limits_of_a_call(options: dict[str, Any], limit: int | None) -> None:
    assert call_limit(object(), "top_n", options) == limit


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"filter": {}}, "a call of str takes top_n or k beside the query and its config, not 'filter'"),
        ({"top_k": 3}, "not 'top_k'"),
        ({"top_n": 3, "k": 2}, "top_n=3 and k=2 mean the same; give one of them"),
        ({"k": 0}, "^k must be a positive integer or None, got 0"),
        ({"top_n": "many"}, "^top_n must be a positive integer or None, got 'many'"),
    ],
)
def test_options_of_a_call_that_cannot_be(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        call_limit("a retriever", "top_n", options)


def test_a_number_that_cannot_be_is_told_by_the_name_that_the_retriever_gives_it() -> None:
    with pytest.raises(InvalidInputError, match=r"^top_k must be a positive integer or None, got -1"):
        call_limit("a retriever", "top_k", {"top_k": -1})
