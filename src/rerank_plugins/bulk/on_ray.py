"""Blocks on the actors of a Ray cluster: one model an actor, one block at a time.

Ray's actors and not Ray Data: a block is read, run and written in one place, so that nothing is left of it when its
process is killed, and what is done is known from the parts. Ray Data's own checkpoint did not go on after a killed
driver, and running it again wrote the rows twice.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from rerank_plugins.bulk.inputs import Block
from rerank_plugins.bulk.job import BlockDone, JobFolder
from rerank_plugins.bulk.outputs import PartFormat
from rerank_plugins.bulk.tasks import BulkTask
from rerank_plugins.checks.arguments import checked_fields
from rerank_plugins.checks.kinds import Count, Within
from rerank_plugins.errors import RerankPluginsError, ScoringError
from rerank_plugins.remote.cluster import connected_ray

__all__ = ["RayPool", "blocks_on_ray"]

_Cores = Annotated[float, Within(0.0, is_open=True)]
_Share = Annotated[float, Within(0.0)]

_TRIES = 3
"""How often a block is tried whose process dies: one that always kills it must not do so for ever."""
_WAITING_BLOCKS = 2
"""Blocks an actor has been given, so that it does not wait for the driver between two."""


@checked_fields()
@dataclass(frozen=True, slots=True, kw_only=True)
class RayPool:
    """Actors on a Ray cluster.

    Attributes:
        actors: How many, each with a model of its own. Those that find no room wait for it; a cluster that grows by
            itself grows for them.
        cpus: Cores of an actor, which are also its threads.
        gpus: Its share of a GPU.
        address: The cluster; None takes the one that this machine belongs to (``RAY_ADDRESS``), or starts one here.
    """

    actors: Count = 1
    cpus: _Cores = 1.0
    gpus: _Share = 0.0
    address: str | None = None


class _Actor:
    """One model in one process of the cluster."""

    def __init__(self, task: BulkTask, folder: str, part_format: PartFormat, n_threads: int) -> None:
        from contextlib import suppress
        from pathlib import Path

        with suppress(ModuleNotFoundError):  # a service, or a backend of somebody's own, needs none
            import torch

            torch.set_num_threads(n_threads)
        self._folder = JobFolder(Path(folder), task=task, part_format=part_format)
        self._opened = task.opened()
        self._problem: RerankPluginsError | None = None
        try:
            self._worker = self._opened.__enter__()
        except RerankPluginsError as error:
            # An actor whose constructor fails is started again and again; its first block tells why instead.
            self._problem = error

    def run(self, block: Block) -> BlockDone | RerankPluginsError:
        """Run a block. Errors of ours are values: Ray would wrap them, and print a traceback with the rows."""
        start_s = time.perf_counter()
        if self._problem is not None:
            return self._problem
        try:
            self._folder.run(block, self._worker)
        except RerankPluginsError as error:
            return error
        return BlockDone(number=block.number, n_rows=block.n_rows, seconds=time.perf_counter() - start_s)


def blocks_on_ray(folder: JobFolder, pool: RayPool) -> Iterator[BlockDone]:
    """Run the blocks of a job that are left on a cluster, and tell of each one when it is done, in any order.

    Raises:
        MissingExtraError: Ray is not installed.
        RerankPluginsError: The model cannot be opened, or a block cannot be run.
        ScoringError: A block killed its process three times.
    """
    pending = folder.pending()
    if not pending:
        return
    ray, is_ours = connected_ray(pool.address)
    try:
        kind = ray.remote(_Actor).options(
            num_cpus=pool.cpus, num_gpus=pool.gpus, max_restarts=-1, max_task_retries=_TRIES - 1
        )
        threads = max(1, round(pool.cpus))
        actors = [
            kind.remote(folder.task, str(folder.folder), folder.part_format, threads)
            for _ in range(min(pool.actors, len(pending)))
        ]
        yield from _drained(ray, actors, pending)
    finally:
        if is_ours:
            ray.shutdown()


def _drained(ray: Any, actors: Sequence[Any], pending: Sequence[Block]) -> Iterator[BlockDone]:
    """Give each actor a block whenever it has room for one, and return what comes back."""
    blocks = iter(pending)
    under_way: dict[Any, tuple[Any, Block]] = {}
    for actor in [*actors] * _WAITING_BLOCKS:
        _give(actor, blocks, under_way)
    while under_way:
        (done, *_), _ = ray.wait([*under_way], num_returns=1)
        actor, block = under_way.pop(done)
        try:
            answer = ray.get(done)
        except ray.exceptions.RayTaskError as error:
            # Its text has a traceback with the values in it, which may be the user's texts.
            msg = f"{block.place}: failed with {type(error.cause).__name__}"
            raise ScoringError(msg) from None
        except ray.exceptions.RayError as error:
            msg = f"{block.place}: its process died {_TRIES} times ({type(error).__name__}); is there memory enough?"
            raise ScoringError(msg) from error
        if isinstance(answer, RerankPluginsError):
            raise answer
        yield answer
        _give(actor, blocks, under_way)


def _give(actor: Any, blocks: Iterator[Block], under_way: dict[Any, tuple[Any, Block]]) -> None:
    block = next(blocks, None)
    if block is not None:
        under_way[actor.run.remote(block)] = (actor, block)
