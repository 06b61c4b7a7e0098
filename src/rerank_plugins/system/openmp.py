"""OpenMP's threads, of which a process should have no more than it has cores."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

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
    with threadpool_limits(limits=1, user_api="openmp"):
        yield
