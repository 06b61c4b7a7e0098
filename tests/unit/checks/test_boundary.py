"""What third-party code raises comes out typed; what the environment raises passes."""

from __future__ import annotations

import pytest

from rerank_plugins.checks.boundary import checkpoint_errors
from rerank_plugins.errors import InvalidInputError, UnsafeModelError, UnsupportedModelError


class PanicException(BaseException):
    """As pyo3 calls it."""


RAW = [
    KeyError("x"),
    TypeError(),
    ZeroDivisionError("0"),
    RecursionError(),
    OSError(5, "x"),
    StopIteration(),
    PanicException("p"),
]


@pytest.mark.parametrize("error", RAW, ids=repr)
def test_raw_errors_are_wrapped(error: BaseException) -> None:
    expected = f"could not load .*{type(error).__name__}"
    with pytest.raises(UnsupportedModelError, match=expected) as found, checkpoint_errors("load 'x'"):
        raise error
    assert found.value.__cause__ is error


@pytest.mark.parametrize(
    "error",
    [MemoryError(), KeyboardInterrupt(), SystemExit(3), GeneratorExit(), UnsafeModelError("x"), InvalidInputError("x")],
    ids=repr,
)
def test_the_environments_and_our_own_pass(error: BaseException) -> None:
    with pytest.raises(type(error)) as found, checkpoint_errors("load"):
        raise error
    assert found.value is error


def test_a_package_that_cannot_be_imported_is_no_damage_to_files() -> None:
    error = ImportError("DLL load failed")
    expected = r"DLL load failed\)\. A package .* install it again$"
    with pytest.raises(UnsupportedModelError, match=expected), checkpoint_errors("load 'x'"):
        raise error


def test_long_messages_are_cut() -> None:
    with pytest.raises(UnsupportedModelError) as found, checkpoint_errors("load"):
        raise ValueError("x" * 10_000)
    assert len(str(found.value)) < 1000
