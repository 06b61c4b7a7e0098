"""Third-party code that reads a checkpoint's files: whatever it raises becomes an error of this package.

transformers, tokenizers, safetensors and torch answer a broken file with whatever went wrong inside them: KeyError,
ZeroDivisionError, a validation error of a dataclass, or, from Rust, a ``PanicException`` that no ``except Exception``
sees.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rerank_plugins.errors import RerankPluginsError, UnsupportedModelError

__all__ = ["checkpoint_errors"]

_LONGEST = 500
"""Characters of somebody else's message that are repeated; it may quote a file."""


@contextmanager
def checkpoint_errors(task: str) -> Iterator[None]:
    """Raise what third-party code raises as :class:`UnsupportedModelError`, with the error as its cause.

    This package's own errors pass, and so do those of the environment: MemoryError, KeyboardInterrupt, SystemExit.

    Args:
        task: What is done inside, for the message: "load '/models/x'".

    Raises:
        UnsupportedModelError: Something else was raised, panics of Rust code included.
    """
    try:
        yield
    except (RerankPluginsError, MemoryError):
        raise
    except BaseException as error:
        # pyo3's PanicException derives from BaseException, and no module offers the class.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        found = " ".join(str(error).split())
        detail = found if len(found) <= _LONGEST else f"{found[:_LONGEST]}..."
        # An import that fails says nothing of the files.
        way_out = (
            "A package that this needs is missing or broken here; install it again"
            if isinstance(error, ImportError)
            else "The files are damaged or contradict each other; download them again, or choose another model"
        )
        msg = f"could not {task} ({type(error).__name__}: {detail}). {way_out}"
        raise UnsupportedModelError(msg) from error
