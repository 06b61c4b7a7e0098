"""From a trained module to a folder that everyone opens: saved aside, checked, measured, and then renamed."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rerank_plugins.errors import TrainingError
from rerank_plugins.evaluation.measures import Evaluation
from rerank_plugins.system.files import reason_of, write_atomically, write_folder_with
from rerank_plugins.training.checkpoints import sync_files
from rerank_plugins.training.preparing import Prepared
from rerank_plugins.training.results import TrainingResult

__all__ = ["publish"]


def publish(
    prepared: Prepared,
    trainable: Any,
    finished: Callable[[Evaluation | None], TrainingResult],
    *,
    log: Sequence[dict[str, Any]],
) -> TrainingResult:
    """Save a trained model, check that the folder scores as the module does, measure it, and put it in its place.

    Args:
        prepared: The run.
        trainable: The trained model, on the CPU.
        finished: Makes the result of the measures after the training.
        log: The run's log.

    Raises:
        TrainingError: The folder cannot be written, or scores otherwise than the module. The checkpoints are intact.
    """
    output = Path(prepared.settings.run.output_dir)
    results: list[TrainingResult] = []

    def filled(aside: Path) -> None:
        trainable.save(aside)
        result = finished(prepared.kind.check_saved(prepared, trainable, aside))
        results.append(result)
        write_atomically(aside / "README.md", prepared.kind.card(prepared, result).encode())
        record = {"settings": prepared.settings.flat(), "rows": prepared.rows.digest, "log": list(log)}
        write_atomically(aside / "training.json", json.dumps(record, indent=2).encode())
        sync_files(aside)
        _open_to_readers(aside)

    try:
        write_folder_with(output, filled)
    except OSError as error:
        msg = (
            f"the trained model could not be saved in {str(output)!r} ({reason_of(error)}); its checkpoints are "
            "intact: make room and go on with resume"
        )
        raise TrainingError(msg) from error
    return results[0]


def _open_to_readers(folder: Path) -> None:
    """Give the files of a folder the mode that new ones get; safetensors keeps its own to their owner."""
    mode = (folder / "README.md").stat().st_mode
    for path in folder.rglob("*"):
        if path.is_file():
            path.chmod(mode)
