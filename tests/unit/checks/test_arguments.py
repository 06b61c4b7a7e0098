"""The door of every public call: values of the annotated types, names that exist, signatures that stay."""

from __future__ import annotations

import copy
import inspect
import pickle
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pytest

from rerank_plugins import EngineOptions, LayerOptions, LongDocuments, Reranker
from rerank_plugins.checks.arguments import checked_call, checked_fields
from rerank_plugins.checks.kinds import Count, Within
from rerank_plugins.errors import InvalidInputError, UnknownOptionError


@checked_call(unchecked=("texts",))
def example(
    texts: object,
    number: int = 1,
    *,
    switch: bool = False,
    share: Annotated[float, Within(0.0, 1.0)] = 0.5,
    count: Count | None = None,
    choice: Literal["one", "two"] = "one",
    names: Sequence[str] = (),
    several: Iterable[int] = (),
    scores: Mapping[str, Mapping[str, float]] | None = None,
    place: str | Path | None = None,
) -> dict[str, Any]:
    """Return what it got."""
    return {name: value for name, value in locals().items() if name != "texts"}


@checked_fields()
@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Of a test."""

    size: Count = 3
    names: tuple[str, ...] = ()


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ({"number": np.int64(3)}, {"number": 3}),
        ({"switch": np.True_}, {"switch": True}),
        ({"share": 1}, {"share": 1.0}),
        ({"share": np.float32(0.25)}, {"share": 0.25}),
        ({"names": ["a", np.str_("b")]}, {"names": ["a", "b"]}),
        ({"several": (one for one in (1, 2))}, {"several": [1, 2]}),
        ({"several": np.array([1, 2])}, {"several": [1, 2]}),
        ({"scores": {"q": {"a": np.float64(1.5), "b": 2}}}, {"scores": {"q": {"a": 1.5, "b": 2.0}}}),
        ({"place": Path("x")}, {"place": Path("x")}),
    ],
)
def test_values_that_mean_the_type_become_it(given: dict[str, Any], taken: dict[str, Any]) -> None:
    got = example("text", **given)
    assert {name: got[name] for name in taken} == taken
    assert all(type(got[name]) is type(value) for name, value in taken.items())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"number": True}, "number must be an integer, got True"),
        ({"number": 10**5000}, "number must be an integer, got an integer of 16610 bits"),
        ({"switch": "False"}, "switch must be True or False, got 'False'"),
        ({"switch": 0}, "switch must be True or False, got 0"),
        ({"share": float("nan")}, "share must be a number from 0 to 1, got nan"),
        ({"share": 10**400}, "share must be a number from 0 to 1, got an integer of 1329 bits"),
        ({"count": 0}, "count must be a positive integer or None, got 0"),
        ({"choice": "three"}, "choice must be 'one' or 'two', got 'three'"),
        ({"names": "ab"}, "names must be a list, got 'ab'"),
        ({"names": ["a", b"b"]}, r"names\[1\] must be a string, got b'b'"),
        ({"names": np.array(3)}, "names must be a list, got ndarray"),
        ({"scores": {"q": {"a": None}}}, r"scores\['q'\]\['a'\] must be a number, got None"),
        ({"scores": {1: {}}}, "scores keys must be a string, got 1"),
        ({"place": "a\0b"}, "place must be a path or name"),
        ({"place": "\ud800"}, "place must be a path or name"),
        ({"place": "x" * 256}, "place must be a path or name"),
        ({"place": ""}, "place must be a path or name"),
    ],
)
def test_what_it_got_and_what_it_takes_is_said(given: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInputError, match=f"^{message}"):
        example("text", **given)


def test_what_a_function_checks_itself_passes() -> None:
    assert example(object(), 2)["number"] == 2


def test_too_many_by_place_are_told_what_goes_by_name() -> None:
    with pytest.raises(UnknownOptionError, match=r"takes 2 arguments by place \(texts, number\), got 3; .*switch"):
        example("text", 2, True)
    with pytest.raises(UnknownOptionError, match=r"Reranker takes 1 arguments by place \(model\), got 2"):
        Reranker("mini", "cpu")  # type: ignore[misc]


def test_signatures_and_coroutines_stay() -> None:
    assert list(inspect.signature(Reranker).parameters)[:2] == ["model", "backend"]
    assert inspect.iscoroutinefunction(Reranker.arank)
    assert example.__doc__ == "Return what it got."


def test_settings_are_checked_where_they_are_made() -> None:
    assert Settings(names=["a"]) == Settings(names=("a",))  # type: ignore[arg-type]
    assert hash(Settings(names=["a"])) == hash(Settings(names=("a",)))  # type: ignore[arg-type]
    for wrong in ({"size": 0}, {"names": "a"}, {"sizes": 1}):
        with pytest.raises(InvalidInputError):
            Settings(**wrong)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="size must be a positive integer, got '3'"):
        replace(Settings(), size="3")  # type: ignore[arg-type]


@pytest.mark.parametrize("options", [EngineOptions(max_batch_tokens=5), LongDocuments(top_k=2), LayerOptions()])
def test_settings_are_copied_and_pickled(options: object) -> None:
    assert copy.deepcopy(options) == options
    assert pickle.loads(pickle.dumps(options)) == options


def test_one_layer_is_a_tuple_of_one() -> None:
    assert LayerOptions(cutoff_layers=8) == LayerOptions(cutoff_layers=(8,))  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="top_k must be a positive integer, got None"):
        LongDocuments(top_k=None)  # type: ignore[arg-type]
