"""OpenMP's threads, of which a process should have no more than it has cores."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import cast

__all__ = ["without_helpers"]


@contextmanager
def without_helpers() -> Iterator[None]:
    """Run torch's operations of this thread on this thread alone; others keep their number of threads.

    The first operation that a thread shares out starts helpers, which stay as long as the thread. Once a process has
    more threads of OpenMP than cores, libgomp sends all of them to sleep between two operations instead of letting them
    spin: some 50 microseconds an operation, also where the further ones never work again. A thread that only loads
    models should therefore have none.
    """
    import torch
    from threadpoolctl import threadpool_limits

    # A thread takes the process's number when it is first asked, which must be before it gets its own.
    torch.get_num_threads()
    set_of_mkl = _set_of_mkl(Path(torch.__file__).parent)
    with threadpool_limits(limits=1, user_api="openmp"):
        before = set_of_mkl(1)
        try:
            yield
        finally:
            set_of_mkl(before)


@cache
def _set_of_mkl(torch_folder: Path) -> Callable[[int], int]:
    """Return the function that sets how many threads MKL uses for this thread, and returns how many that were.

    MKL is a part of torch's library, where threadpoolctl does not find it. It asks OpenMP until ``set_num_threads`` has
    given it a number for the whole process. Where there is no MKL, the function does nothing.
    """
    try:
        library = ctypes.CDLL(str(torch_folder / "lib" / "libtorch_cpu.so"))
        return cast("Callable[[int], int]", library.MKL_Set_Num_Threads_Local)
    except (OSError, AttributeError):
        return lambda _: 0
