"""What is checked of a checkpoint's weight files before any tensor is read."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from rerank_plugins.catalog.file_names import check_indexes, check_named_by_config
from rerank_plugins.catalog.formats import refuse_other_formats, refuse_quantised
from rerank_plugins.catalog.weight_headers import check_claims, read_headers
from rerank_plugins.errors import UnsafeModelError, UnsupportedModelError
from rerank_plugins.weights.base import CheckpointRequest
from rerank_plugins.weights.own_rows import base_folder, has_own_rows

__all__ = ["check_weights", "refuse_missing", "uses_safetensors"]

_UNUSED_BUFFERS = ("position_ids", "pooler.")
"""Keys whose absence changes no score: a buffer that is rebuilt, and a pooler that is not read."""


def check_weights(request: CheckpointRequest) -> None:
    """Raise if the checkpoint has no weights in an allowed format, or weights that do not fit its config.

    Raises:
        UnsafeModelError: There are only pickled ones, and they were not allowed; or an index leads elsewhere.
        UnsupportedModelError: There are none; or they are quantised, damaged, or not those of the config.
    """
    folder = request.files.folder
    check_named_by_config(request.files.config, folder)
    check_indexes(folder)
    stored = read_headers(folder)
    base = base_folder(folder)
    if base is not None:
        stored = read_headers(base) | stored
    is_ours = request.files.own_format is not None or has_own_rows(folder)
    refuse_quantised(request.files.config, {} if is_ours else stored, folder=folder)
    check_claims(request.files.config, stored, folder=folder)
    has_pickle = request.allow_pickle and any(folder.glob("*.bin"))
    if uses_safetensors(folder) or has_pickle:
        return
    pickled = sorted(path.name for path in folder.glob("*.bin"))
    if pickled:
        msg = (
            f"{str(folder)!r} has only pickled weights ({', '.join(pickled)}), and unpickling can run code. Convert "
            "them to safetensors, choose a revision that has them, or pass allow_pickle=True if you trust the source."
        )
        raise UnsafeModelError(msg)
    refuse_other_formats(folder)
    msg = (
        f"{str(folder)!r} has no model.safetensors. Either the download is incomplete, or the repository has only "
        "pickled weights, which are not fetched unless allow_pickle=True (unpickling can run code). "
        f"{request.spec.notes}"
    ).rstrip()
    raise UnsupportedModelError(msg)


def uses_safetensors(folder: Path) -> bool:
    """Return whether a folder has weights in safetensors files."""
    return any(folder.glob("*.safetensors")) or (folder / "model.safetensors.index.json").is_file()


def refuse_missing(missing: Iterable[str], folder: Path, *, reads_pooler: bool = False) -> None:
    """Raise UnsupportedModelError if weights are missing, because they would be initialised at random.

    Args:
        missing: Names of weights that the checkpoint lacks.
        folder: The checkpoint.
        reads_pooler: Whether the pooler's output is used, as by BERT's classifier and no embedder.

    Raises:
        UnsupportedModelError: Some are.
    """
    unused = _UNUSED_BUFFERS[:1] if reads_pooler else _UNUSED_BUFFERS
    lost = sorted(key for key in missing if not any(part in key for part in unused))
    if lost:
        msg = (
            f"{str(folder)!r} lacks {len(lost)} weights that the model needs ({', '.join(lost[:4])}...). They would be "
            "random numbers and so would the scores. Is it the right kind of model, and complete?"
        )
        raise UnsupportedModelError(msg)
