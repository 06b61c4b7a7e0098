"""What the C library does with memory that was given back to it."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

__all__ = ["keep_freed_memory"]

_LARGEST_BLOCK_BYTES = (32 << 20) - (64 << 10)
"""A little below DEFAULT_MMAP_THRESHOLD_MAX of a 64-bit glibc, beyond which a block teaches it nothing."""


@lru_cache(maxsize=1)
def keep_freed_memory() -> None:
    """Let the memory of a batch stay in the process for the next one.

    glibc gives free memory at the end of a heap back to the system when there is more of it than twice the largest
    block that was freed before (``mallopt(3)``, on ``M_MMAP_THRESHOLD``), and each layer asks for it again, zeroed page
    by page: with small weights 10,000 pages a batch and more. So a large block is freed once, as a program with larger
    weights does by loading them. It is not written to, which takes microseconds and no memory. Up to 64 MiB a heap stay
    then. A ``MALLOC_TRIM_THRESHOLD_`` of the user's is kept: glibc learns nothing where it is set.
    """
    block = np.empty(_LARGEST_BLOCK_BYTES, dtype=np.uint8)
    del block
