"""From a trained module to a folder that everyone opens: saved aside, checked, measured, and then renamed."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rerank_plugins.calibration import Calibration
from rerank_plugins.catalog.checkpoint import TRAINING_RECORD
from rerank_plugins.errors import TrainingError
from rerank_plugins.system.files import reason_of, write_atomically, write_folder_with
from rerank_plugins.training.checkpoints import sync_files
from rerank_plugins.training.kind import Saved
from rerank_plugins.training.preparing import Prepared
from rerank_plugins.training.report import report_page
from rerank_plugins.training.results import TrainingResult

__all__ = ["CALIBRATION", "REPORT", "publish"]

CALIBRATION, REPORT = "calibration.json", "report.md"
"""Files beside the weights: probabilities fitted on the dev set, and what the training brought, with texts."""


def publish(
    prepared: Prepared,
    trainable: Any,
    finished: Callable[[Saved], tuple[TrainingResult, Calibration | None]],
    *,
    log: Sequence[dict[str, Any]],
) -> TrainingResult:
    """Save a trained model, check that the folder scores as the module does, measure it, and put it in its place.

    Args:
        prepared: The run.
        trainable: The trained model, on the CPU.
        finished: Makes the result, and a calibration if there is one, of what the saved model scores.
        log: The run's log.

    Raises:
        TrainingError: The folder cannot be written, or scores otherwise than the module. The checkpoints are intact.
    """
    output = Path(prepared.settings.run.output_dir)
    results: list[TrainingResult] = []

    def filled(aside: Path) -> None:
        trainable.save(aside)
        record = {"settings": prepared.settings.flat(), "rows": prepared.rows.digest, "log": list(log)}
        # Before the model is opened: by this record it is told apart from the one that it started from.
        write_atomically(aside / TRAINING_RECORD, json.dumps(record, indent=2).encode())
        result, calibration = finished(prepared.kind.check_saved(prepared, trainable, aside))
        results.append(result)
        write_atomically(aside / "README.md", prepared.kind.card(prepared, result).encode())
        if prepared.sets:
            write_atomically(aside / REPORT, report_page(prepared, result).encode())
        if calibration is not None:
            calibration.save(aside / CALIBRATION)
        sync_files(aside)

    try:
        write_folder_with(output, filled)
    except OSError as error:
        msg = (
            f"the trained model could not be saved in {str(output)!r} ({reason_of(error)}); its checkpoints are "
            "intact: make room and go on with resume"
        )
        raise TrainingError(msg) from error
    return results[0]
