"""Every argument of the public API with every wrong value: a typed error or a sane result, and no nonsense taken."""

from __future__ import annotations

import inspect
import sys
import warnings
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from numbers import Integral, Real
from pathlib import Path
from types import NoneType, SimpleNamespace, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from public_calls import lacks, outcome, public_calls, working_calls

from rerank_plugins.errors import RerankPluginsError, UnknownOptionError

CALLS = public_calls()
NAMES = [
    pytest.param(name, marks=pytest.mark.skipif(bool(lacks(name)), reason=f"{lacks(name)} is not installed"))
    for name in CALLS
]

WRONG: dict[str, Any] = {
    "None": None,
    "True": True,
    "False": False,
    "zero": 0,
    "minus one": -1,
    "two to the 62": 2**62,
    "googols": 10**400,
    "minus googols": -(10**5000),
    "half": 0.5,
    "nan": float("nan"),
    "inf": float("inf"),
    "-inf": float("-inf"),
    "complex": 1j,
    "bytes": b"ab",
    "empty": "",
    "blank": " ",
    "word": "False",
    "digits": "3",
    "NUL": "a\0b",
    "surrogate": "\ud800",
    "long": "x" * 5000,
    "list": [],
    "list of objects": [object()],
    "list of lists": [[]],
    "list of None": [None],
    "tuple of bytes": (b"a", b"b"),
    "dict": {},
    "dict of objects": {"a": object()},
    "dict of numbers": {1: 2},
    "set": {"a"},
    "object": object(),
    "lambda": lambda: None,
    "class": dict,
    "exception": ValueError("x"),
    "np.int64": np.int64(3),
    "np.float32": np.float32(0.5),
    "np.bool": np.True_,
    "np.str": np.str_("mini"),
    "np.array": np.zeros((2, 2)),
    "np.array of nothing": np.array([]),
    "np.array without dimensions": np.array(3),
    "path": Path("no/such/folder"),
    "module": sys,
}


# What the docstring says beside the annotation.
ALSO: dict[tuple[str, str], Any] = {("LayerOptions", "cutoff_layers"): int, ("LayerOptions", "compress_layers"): int}


class Working(dict[str, tuple[Callable[..., Any], dict[str, Any]]]):
    """Calls that work, by name."""

    def __repr__(self) -> str:
        return f"{len(self)} calls"


@pytest.fixture(scope="module")
def working(tmp_path_factory: pytest.TempPathFactory) -> Working:
    return Working(working_calls(tmp_path_factory.mktemp("public")))


def test_every_public_call_has_one_that_works(
    working: Working, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert sorted(working) == sorted(name for name in CALLS if not lacks(name))
    for name, (function, arguments) in working.items():
        assert outcome(function, arguments) is None, name


@pytest.mark.parametrize("name", NAMES)
def test_wrong_values_end_in_a_typed_error_and_none_is_taken(
    name: str,
    working: Working,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    function, arguments = working[name]
    raw, taken = [], []
    for parameter in CALLS[name].parameters:
        hint = hint_of(CALLS[name].function, parameter)
        for label, value in WRONG.items():
            if callable(value) and fits(hint, value):
                continue  # What a caller's own function does is the caller's.
            case = f"{parameter}={label}"
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    error = outcome(function, {**arguments, parameter: value})
                except Exception as unexpected:  # noqa: BLE001 - what is looked for
                    raw.append(f"{case}: {type(unexpected).__name__}: {unexpected}")
                    continue
            if error is None and not fits(hint, value) and not fits(ALSO.get((name, parameter), NoneType), value):
                taken.append(case)
    assert not raw, "raw errors"
    assert not taken, "nonsense was taken"


_ATOMS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.binary(max_size=8)
    # No separators: what is taken for a path must stay in the folder of the test.
    | st.text(st.characters(exclude_characters="/\\"), max_size=12)
)
_VALUES = st.recursive(
    _ATOMS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
)


@pytest.mark.parametrize("name", NAMES)
@settings(derandomize=True, deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_value_ends_in_a_typed_error_or_a_result(
    name: str,
    working: Working,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    data: st.DataObject,
) -> None:
    monkeypatch.chdir(tmp_path)
    function, arguments = working[name]
    parameter = data.draw(st.sampled_from(CALLS[name].parameters))
    value = data.draw(_VALUES)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        error = outcome(function, {**arguments, parameter: value})
    expected = hint_of(CALLS[name].function, parameter)
    assert error is not None or fits(expected, value) or fits(ALSO.get((name, parameter), NoneType), value)


@pytest.mark.parametrize("name", NAMES)
def test_an_option_that_there_is_none_of_is_named(name: str, working: Working) -> None:
    function, arguments = working[name]
    known = CALLS[name].parameters
    misspelt = f"{known[-1]}_x" if len(known[-1]) > 3 else f"{known[0]}s"
    with pytest.raises(UnknownOptionError, match=f"no option '{misspelt}'") as caught:
        outcome_of_error(function, {**arguments, misspelt: 1})
    assert isinstance(caught.value, TypeError)
    assert repr(known[-1] if len(known[-1]) > 3 else known[0]) in str(caught.value)
    with suppress(TypeError, ValueError):
        inspect.signature(function)


def outcome_of_error(function: Callable[..., Any], arguments: dict[str, Any]) -> None:
    error = outcome(function, arguments)
    if error is not None:
        raise error


def hint_of(function: Callable[..., Any], parameter: str) -> Any:
    """Return the evaluated annotation; Any where it names what is imported for type checkers only."""
    function = inspect.unwrap(function)
    one = SimpleNamespace(__annotations__={parameter: function.__annotations__[parameter]})
    try:
        return get_type_hints(one, vars(sys.modules[function.__module__]), include_extras=True)[parameter]
    except NameError:
        return Any


def fits(hint: Any, value: object) -> bool:
    """Return whether a value is one that an annotation means; written apart from the code that is tested."""
    origin, inner = get_origin(hint), get_args(hint)
    if hint in _FITS:
        return _FITS[hint](value)
    if origin is Annotated:
        return fits(inner[0], value) and all(_in_range(one, value) for one in inner[1:] if not isinstance(one, str))
    if origin in (Union, UnionType):
        return any(fits(one, value) for one in inner)
    if origin is Literal:
        return isinstance(value, str) and value in inner
    if origin is Callable:
        return callable(value)
    if origin in (Collection, Iterable, Sequence, list, tuple):
        return _is_list(value) and all(fits(inner[0], one) for one in value)  # type: ignore[attr-defined]
    if origin is Mapping:
        is_mapping = isinstance(value, Mapping)
        return is_mapping and all(fits(inner[0], key) and fits(inner[1], one) for key, one in value.items())
    return isinstance(value, origin or hint)


_FITS: dict[Any, Callable[[Any], bool]] = {
    Any: lambda _: True,
    object: lambda _: True,
    NoneType: lambda value: value is None,
    bool: lambda value: isinstance(value, (bool, np.bool_)),
    int: lambda value: isinstance(value, Integral) and not isinstance(value, bool) and abs(value) < 2**63,
    float: lambda value: (
        isinstance(value, Real) and not isinstance(value, bool) and (isinstance(value, float) or abs(value) < 2**63)
    ),
}


def _in_range(limits: Any, value: Any) -> bool:
    return limits.low <= value <= (float("inf") if limits.high is None else limits.high)


def _is_list(value: Any) -> bool:
    if isinstance(value, (str, bytes, Mapping, type)) or not hasattr(value, "__iter__"):
        return False
    return not isinstance(value, np.ndarray) or value.ndim > 0


def test_errors_are_errors_of_this_package() -> None:
    assert issubclass(UnknownOptionError, RerankPluginsError)
