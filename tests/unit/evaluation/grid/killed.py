"""Runs the tiny grid and kills itself without warning while it writes its n-th file."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from tiny import tiny_dataset, tiny_options

from rerank_plugins.evaluation.grid import CurveOptions, run_evaluation, store


def main(checkpoints: str, folder: str, n_files: int) -> None:
    replace, written = Path.replace, []

    def killed(self: Path, target: Path) -> Path:
        written.append(target)
        if len(written) == n_files:
            # The file is complete under its temporary name, and not yet in place.
            os.kill(os.getpid(), signal.SIGKILL)
        return replace(self, target)

    store.Path.replace = killed
    curves = CurveOptions(growth_from=20, depths=(2, 8))
    run_evaluation([tiny_dataset()], tiny_options(Path(checkpoints)), folder, curves=curves)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
