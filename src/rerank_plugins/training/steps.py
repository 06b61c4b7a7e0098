"""How many steps a training has, and what follows from that: counted before anything is loaded."""

from __future__ import annotations

import math
from dataclasses import dataclass

from rerank_plugins.errors import InvalidInputError
from rerank_plugins.training.settings import RunSettings

__all__ = ["StepPlan", "plan_steps"]

_MEASUREMENTS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class StepPlan:
    """The steps of a run.

    Attributes:
        groups: Groups of a step, over all devices.
        per_epoch: Steps of an epoch.
        total: Steps of the run.
        warmup: Steps in which the learning rate rises.
        eval_every: Steps between two measurements of the dev set.
        save_every: Steps between two checkpoints where there is no dev set.
    """

    groups: int
    per_epoch: int
    total: int
    warmup: int
    eval_every: int
    save_every: int


def plan_steps(run: RunSettings, *, n_rows: int, n_devices: int) -> StepPlan:
    """Return the steps of a run.

    Args:
        run: The run's settings.
        n_rows: Rows to train on; each gives a group in every epoch.
        n_devices: Devices that train side by side.

    Raises:
        InvalidInputError: There are fewer rows than one batch, and smaller batches are left out.
    """
    batch = run.per_device_train_batch_size * n_devices
    n_batches = n_rows // batch if run.dataloader_drop_last else math.ceil(n_rows / batch)
    if not n_batches:
        msg = (
            f"{n_rows} rows are fewer than one batch of {batch} groups, and dataloader_drop_last leaves smaller "
            "batches out: nothing would be trained. Take a smaller per_device_train_batch_size, or keep the last batch"
        )
        raise InvalidInputError(msg)
    per_epoch = math.ceil(n_batches / run.gradient_accumulation_steps)
    total = run.max_steps or math.ceil(run.num_train_epochs * per_epoch)
    tenth = max(total // _MEASUREMENTS, 1)
    return StepPlan(
        groups=batch * run.gradient_accumulation_steps,
        per_epoch=per_epoch,
        total=total,
        warmup=math.ceil(run.warmup_ratio * total),
        eval_every=run.eval_steps or tenth,
        save_every=run.save_steps or tenth,
    )
