"""The folder beside an output that holds a training while it runs: who may use it, and when it has ended."""

from __future__ import annotations

import json
import logging
import shutil
from dataclasses import asdict
from pathlib import Path

from rerank_plugins.catalog.checkpoint import TRAINING_RECORD
from rerank_plugins.checks.optional import import_extra
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.system.files import made_folder, write_atomically, write_new
from rerank_plugins.system.locks import lock_file
from rerank_plugins.training.results import TrainingResult

__all__ = ["RUN", "check_folders", "ended_result", "has_ended", "hold_folder", "keep_result", "run_folder_of"]

logger = logging.getLogger(__name__)

RUN = "run.json"
"""File of what decides the weights; it is there once a training has begun."""

_RESULT = "result.json"


def run_folder_of(output_dir: Path) -> Path:
    """Return the folder beside an output folder that holds its checkpoints while it is trained.

    Raises:
        InvalidInputError: The output folder has no name, as ``.`` and ``/`` have none, and nothing can stand beside it.
    """
    if not output_dir.name:
        msg = (
            f"output_dir {str(output_dir)!r} has no name of its own; name a folder that is made anew, such as 'trained'"
        )
        raise InvalidInputError(msg)
    return output_dir.with_name(f"{output_dir.name}.training")


def check_folders(output: Path, folder: Path, *, resumes: bool, is_first: bool = True) -> None:
    """Refuse an output folder that is used, and a run that was begun where none shall go on, or the other way round.

    Args:
        output: Where the trained model goes.
        folder: The run's.
        resumes: Whether a run shall go on.
        is_first: Whether this is the first of the processes that train together. The others cannot tell whether a run
            was begun before, or by the first one a moment ago.

    Raises:
        InvalidInputError: They cannot be used so.
    """
    if _is_used(output):
        msg = f"output_dir {str(output)!r} is used already, and is not overwritten; name another one"
        raise InvalidInputError(msg)
    has_begun = (folder / RUN).is_file()
    if has_begun and not resumes and is_first:
        msg = (
            f"a training of {str(output)!r} was begun and has not ended: go on with resume (--resume), or remove "
            f"{str(folder)!r} to begin anew"
        )
        raise InvalidInputError(msg)
    if resumes and not has_begun:
        msg = f"there is no training to go on with: {str(folder / RUN)!r} is not there. Begin without resume"
        raise InvalidInputError(msg)


def hold_folder(output: Path, folder: Path, *, rank: int) -> int | None:
    """Make a run's folder if need be, and lock it: a second training there would overwrite the first one's files.

    Args:
        output: Where the trained model goes.
        folder: The run's.
        rank: This process's number among those that train together. Each has a lock of its own, because each writes
            rows of its own, and all begin at once.

    Returns:
        What holds the lock, see :func:`~rerank_plugins.system.locks.let_go`; None where there are no locks.

    Raises:
        InvalidInputError: Another training holds it.
    """
    held = made_folder(folder)
    if rank:
        held /= f"process-{rank}.lock"
        write_new(held, b"")
    try:
        return lock_file(held)
    except InvalidInputError as error:
        msg = f"{str(output)!r} is being trained by another process; wait for it, or name another output_dir"
        raise InvalidInputError(msg) from error


def keep_result(result: TrainingResult, folder: Path) -> None:
    """Write down what a training brought, before its output gets its name and its folder goes.

    Args:
        result: The result.
        folder: The run's.

    Raises:
        InvalidInputError: It cannot be written.
    """
    write_atomically(folder / _RESULT, json.dumps(asdict(result), default=str).encode())


def has_ended(output: Path, folder: Path, *, is_first: bool = True) -> bool:
    """Return whether a training made its output, and was killed before it had removed its own folder.

    Args:
        output: Where the trained model goes.
        folder: The run's.
        is_first: As for :func:`check_folders`. The first process may have removed the folder a moment ago.
    """
    return (output / TRAINING_RECORD).is_file() and (not is_first or (folder / _RESULT).is_file())


def ended_result(output: Path, folder: Path) -> TrainingResult:
    """Return what such a training brought, and remove its folder.

    Args:
        output: Where the trained model is.
        folder: The run's, which :func:`has_ended`.
    """
    adapter = import_extra("pydantic", extra="train").TypeAdapter(TrainingResult)
    result: TrainingResult = adapter.validate_python(json.loads((folder / _RESULT).read_text(encoding="utf-8")))
    logger.warning("the training of %r had ended; what it left beside its output is removed", str(output))
    shutil.rmtree(folder, ignore_errors=True)
    return result


def _is_used(output: Path) -> bool:
    return output.exists() and (not output.is_dir() or any(output.iterdir()))
