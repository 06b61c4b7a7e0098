"""The group of processes that train together (``accelerate launch``, ``torchrun``), and its end."""

from __future__ import annotations

import atexit
import gc
from functools import cache

import torch.distributed

__all__ = ["leave_group_at_exit"]


@cache
def leave_group_at_exit() -> None:
    """Have this process leave its group, if it is in one of gloo's, before the interpreter ends.

    Else a thread of gloo's may still free a tensor then, needs the interpreter for that, and ends the process with
    SIGABRT after all work is done (``terminate called without an active exception``; pytorch pull request 179291). Not
    at the end of a training: another one may follow in the group, which accelerate opens once. Groups of NCCL are left
    to torch: all processes leave these together or wait for each other.
    """
    atexit.register(_leave_group)


def _leave_group() -> None:
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return
    if torch.distributed.get_backend() == "gloo":
        # What still holds the group, such as a model of DistributedDataParallel in a cycle, keeps its threads.
        gc.collect()
        torch.distributed.destroy_process_group()
