"""Running the blocks of a job that are left: in this process, or on the actors of a Ray cluster."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from rerank_plugins.bulk.job import BlockDone, JobFolder
from rerank_plugins.bulk.on_ray import RayPool, blocks_on_ray

__all__ = ["run_job"]


def run_job(
    folder: JobFolder, *, ray: RayPool | None = None, on_block: Callable[[BlockDone], object] | None = None
) -> int:
    """Run what is left of a job, and return how many blocks that were.

    Args:
        folder: The job, opened.
        ray: Actors on a cluster; None runs here.
        on_block: Told of each block that is done.

    Raises:
        RerankPluginsError: The model cannot be opened, or a block cannot be run. What is done stays; run it again.
        MissingExtraError: Ray is asked for and not installed.
    """
    n_done = 0
    for done in _blocks_here(folder) if ray is None else blocks_on_ray(folder, ray):
        n_done += 1
        if on_block is not None:
            on_block(done)
    return n_done


def _blocks_here(folder: JobFolder) -> Iterator[BlockDone]:
    pending = folder.pending()
    if not pending:
        return
    with folder.task.opened() as worker:
        for block in pending:
            start_s = time.perf_counter()
            folder.run(block, worker)
            yield BlockDone(number=block.number, n_rows=block.n_rows, seconds=time.perf_counter() - start_s)
