"""Vectors of all devices side by side, for negatives across devices.

Each device computes the same loss over the vectors of all, and has gradients for its own vectors alone (FlagEmbedding's
``_dist_gather_tensor``). Gradients are averaged over devices then, so each is multiplied by their number first: the sum
is the gradient that one device with the whole batch has. FlagEmbedding leaves that out, and its gradients are smaller
by the number of devices.
"""

from __future__ import annotations

import torch
import torch.distributed
from torch import Tensor

__all__ = ["gathered", "local_part", "n_devices", "scaled_gradient"]


def n_devices() -> int:
    """Return the number of processes that train side by side; 1 without a process group."""
    has_group = torch.distributed.is_available() and torch.distributed.is_initialized()
    return torch.distributed.get_world_size() if has_group else 1


def gathered(tensor: Tensor) -> Tensor:
    """Return the rows of all devices, in the order of devices, with a gradient for this one's.

    Args:
        tensor: As many rows on each device. Shape: (rows, ...).
    """
    if n_devices() == 1:
        return tensor
    parts = [torch.empty_like(tensor) for _ in range(n_devices())]
    torch.distributed.all_gather(parts, tensor.detach().contiguous())
    parts[torch.distributed.get_rank()] = tensor
    return torch.cat(parts)


def local_part(tensor: Tensor, *, rows: int, columns: int) -> Tensor:
    """Return this device's block of a matrix over the rows and columns of all devices."""
    if n_devices() == 1:
        return tensor
    rank = torch.distributed.get_rank()
    return tensor[rank * rows : (rank + 1) * rows, rank * columns : (rank + 1) * columns]


def scaled_gradient(loss: Tensor) -> Tensor:
    """Return a loss of the same value, whose gradient is multiplied by the number of devices."""
    return loss + (n_devices() - 1) * (loss - loss.detach()) if n_devices() > 1 else loss
