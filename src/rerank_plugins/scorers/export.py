"""A checkpoint as a folder for ONNX Runtime, or as a quarter of its size.

``model.onnx`` names weights that lie beside it: one ``model.safetensors`` in float32 under the checkpoint's own names,
and the graph's external data are places in that file. Nothing is in the folder twice, and this package opens it as the
checkpoint itself, in torch too. A small folder has the same weights in 8-bit rows, which no other program reads, and
no graph.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import save_file

from rerank_plugins.catalog.file_names import OTHER_WEIGHTS
from rerank_plugins.catalog.resolve import ResolvedModel
from rerank_plugins.catalog.scorer_traits import STATIC
from rerank_plugins.errors import InvalidInputError, UnsupportedModelError
from rerank_plugins.graphs.models import build_graph
from rerank_plugins.graphs.proto import ExternalData
from rerank_plugins.scorers.onnx_runtime import read_weights
from rerank_plugins.system.files import reason_of, write_folder_with
from rerank_plugins.weights.arrays import Arrays
from rerank_plugins.weights.base import CheckpointRequest
from rerank_plugins.weights.checks import check_weights
from rerank_plugins.weights.own_rows import int8_rows, row_metadata, with_refused_shapes
from rerank_plugins.weights.tokenizers import load_tokenizer

__all__ = ["export_model"]

_WEIGHTS, _GRAPH = "model.safetensors", "model.onnx"
_KEPT = (".json", ".txt", ".model", ".md")
_INDEX = ".index.json"
"""Ending of the files that say in which of several files a tensor is; here all are in one."""


def export_model(resolved: ResolvedModel, folder: Path, *, int8: bool = False) -> Path:
    """Write a BERT-like reranker or embedder into a folder; torch is not needed.

    The graph takes ``input_ids``, ``attention_mask`` and, for a model with several types of tokens, ``token_type_ids``,
    each (texts, slots) in int64, and gives ``rows``: a logit for each pair, (texts, 1), or a vector for each text, not
    normalised. Padding is left out inside,
    so a padded batch costs what its tokens cost. The mini rerankers take ``segments`` and ``second_starts`` besides.

    Args:
        resolved: The checkpoint.
        folder: Where to; it must not be there.
        int8: Whether matrices are written in 8-bit rows, and no graph. ``Reranker(folder)`` and ``Embedder(folder)``
            compute with them in float32 unless they are told ``dtype="int8"``, which takes the 8-bit numbers as they
            are.

    Returns:
        The folder.

    Raises:
        InvalidInputError: Something is there already, or the folder cannot be written.
        UnsupportedModelError: It is no BERT-like model.
        UnsafeModelError: It has only pickled weights.
    """
    _check_new(folder)
    if resolved.spec.scorer == STATIC:
        msg = (
            f"{str(resolved.files.folder)!r} is a table of vectors: it has no graph to write, and runs without torch "
            "and ONNX Runtime. Copy the folder as it is."
        )
        raise UnsupportedModelError(msg)
    request = CheckpointRequest(spec=resolved.spec, files=resolved.files)
    load_tokenizer(request)
    check_weights(request)
    weights = {_todays(name): one for name, one in read_weights(request).items()}
    made = build_graph(resolved.spec, resolved.files, weights)

    def save(new: Path) -> None:
        _copy_settings(request, new)
        if int8:
            _save(with_refused_shapes(int8_rows(weights)), new / _WEIGHTS, row_metadata())
            return
        _save(weights, new / _WEIGHTS, {"format": "pt"})
        stored = _places(new / _WEIGHTS)
        places = {name: stored[name if name in stored else made.prefix + name] for name in made.graph.weights}
        spec = resolved.spec
        facts = {"model": spec.id, "kind": spec.kind, "max_length": str(spec.max_length_tokens)}
        (new / _GRAPH).write_bytes(made.graph.model(places, metadata=facts))

    try:
        return write_folder_with(folder, save)
    except (OSError, SafetensorError) as error:
        raise _cannot_write(folder, error) from error


def _check_new(folder: Path) -> None:
    try:
        is_there = folder.exists()
    except OSError as error:  # a name that is too long, a loop of links
        raise _cannot_write(folder, error) from error
    if is_there:
        msg = f"{str(folder)!r} is there already; name a folder that is not"
        raise InvalidInputError(msg)


def _cannot_write(folder: Path, error: Exception) -> InvalidInputError:
    msg = f"{str(folder)!r} cannot be written ({reason_of(error)}); name another folder, or make room"
    return InvalidInputError(msg)


def _todays(name: str) -> str:
    """Return a weight's name in today's checkpoints; those of 2018 have TensorFlow's for the parts of a norm."""
    return name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")


def _save(weights: Arrays, path: Path, metadata: dict[str, str]) -> None:
    # transformers refuses a file whose metadata do not say "pt".
    save_file({name: np.ascontiguousarray(one) for name, one in weights.items()}, str(path), metadata)


def _places(path: Path) -> Mapping[str, ExternalData]:
    """Return where the numbers of each tensor of a safetensors file are."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
    header.pop("__metadata__", None)
    start = 8 + length
    return {
        name: ExternalData(
            location=path.name,
            offset=start + one["data_offsets"][0],
            length=one["data_offsets"][1] - one["data_offsets"][0],
        )
        for name, one in header.items()
    }


def _copy_settings(request: CheckpointRequest, new: Path) -> None:
    """Copy what is no weights: settings, vocabularies, and the modules' settings."""
    folder = request.files.folder
    for source in (folder, *(one for one in request.files.modules.folders if one != folder and one.is_dir())):
        target = new / source.relative_to(folder)
        target.mkdir(exist_ok=True)
        for path in source.iterdir():
            if path.is_file() and path.suffix in _KEPT and not path.name.endswith(_INDEX):
                shutil.copyfile(path, target / path.name)
    config = {key: value for key, value in request.files.config.items() if key != OTHER_WEIGHTS}
    if request.spec.id != str(folder) and request.files.own_format is None:
        # A folder of another name is known by this one, and keeps the prompts of its catalog entry. Our own format
        # says everything itself.
        config["_name_or_path"] = request.spec.id
    if config != request.files.config:
        (new / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
