"""The tensors of a checkpoint's folder by name, in float32, and those of several that go together."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from rerank_plugins.catalog.late_formats import STANFORD_ARCHITECTURE
from rerank_plugins.errors import UnsafeModelError, UnsupportedModelError
from rerank_plugins.weights.own_rows import has_own_rows, read_rows
from rerank_plugins.weights.side_files import read_side_file

__all__ = ["ModelFolder", "check_mergeable", "module_folders"]

_OLD_NAMES = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}
"""BERT checkpoints of 2018 have TensorFlow's names."""

_BUFFERS = (".position_ids", ".inv_freq", ".token_type_ids")
"""Saved by some versions of transformers and not by others; they are no weights."""

_POOLER = ("pooler.dense.weight", "pooler.dense.bias")
"""transformers makes them anew where a checkpoint has none, and saves them."""

_STATIC = "model2vec"
_DECISIVE = (
    "model_type",
    "architectures",
    "hidden_act",
    "num_attention_heads",
    "num_key_value_heads",
    "rope_parameters",
    "rope_scaling",
    "rope_theta",
    "tie_word_embeddings",
    "layer_norm_eps",
    "rms_norm_eps",
    "position_embedding_type",
    "rerank_plugins",
)
"""What tensors of equal shapes may mean different things by."""


class ModelFolder:
    """Weights of a checkpoint; nothing is kept in memory but those in this project's quantised formats.

    Args:
        folder: The checkpoint.
        allow_pickle: Whether heads beside it may be read from ``*.pt``.

    Attributes:
        files: File, relative to the folder, to the names of its tensors; those of a module have its folder in front.
        dtype: The widest precision of its tensors.

    Raises:
        UnsupportedModelError: It has no safetensors, is a LoRA adapter, or cannot be read.
        UnsafeModelError: It has heads in pickles, and these are not allowed.
    """

    def __init__(self, folder: Path, *, allow_pickle: bool = False) -> None:
        self.path = folder
        self.config = _read_config(folder)
        self._held: dict[str, Tensor] = {}
        self._places: dict[str, tuple[Path, str]] = {}
        self.files: dict[str, list[str]] = {}
        dtypes: set[torch.dtype] = set()
        paths = sorted(folder.glob("*.safetensors"))
        if not paths:
            raise UnsupportedModelError(_without_weights(folder))
        modules = (module / "model.safetensors" for module in module_folders(folder))
        for path in (*paths, *(one for one in modules if one.is_file())):
            name = path.relative_to(folder).as_posix()
            self.files[name] = self._index(path, "" if path.parent == folder else f"{path.parent.name}/", dtypes)
        for path in sorted(folder.glob("*.pt")):
            self._index_head(path, allow_pickle=allow_pickle)
            dtypes.add(torch.float32)
        self.dtype = _widest(dtypes)

    def use_module_names(self) -> None:
        """Name the weights of a checkpoint of colbert-ai as sentence-transformers' format does.

        There the transformer is without a name in front, and the projection is a module in a folder of its own: so is
        a ColBERT that was trained from such a checkpoint here.
        """
        if not self.is_of_colbert_ai:
            return
        self._places = {_module_name(name): place for name, place in self._places.items()}
        self._held = {_module_name(name): value for name, value in self._held.items()}
        self.files = {file: [_module_name(name) for name in names] for file, names in self.files.items()}
        self.config = {name: value for name, value in self.config.items() if name != "architectures"}

    @property
    def is_of_colbert_ai(self) -> bool:
        """Whether its weights have the names of colbert-ai."""
        return STANFORD_ARCHITECTURE in (self.config.get("architectures") or ())

    @property
    def is_bare(self) -> bool:
        """Whether nothing stands on the transformer that reads its pooler: an embedder, or a ColBERT."""
        return all(str(one).endswith("Model") for one in self.config.get("architectures") or ())

    @property
    def names(self) -> set[str]:
        """Names of all weights."""
        return {*self._places, *self._held}

    def shape(self, name: str) -> tuple[int, ...]:
        """Return a tensor's shape, without reading it."""
        if name in self._held:
            return tuple(self._held[name].shape)
        path, stored_name = self._places[name]
        with safe_open(str(path), framework="pt") as stored:
            return tuple(stored.get_slice(stored_name).get_shape())

    def read(self, name: str) -> Tensor:
        """Return a tensor in float32."""
        if name in self._held:
            return self._held[name]
        path, stored_name = self._places[name]
        with safe_open(str(path), framework="pt") as stored:
            tensor: Tensor = stored.get_tensor(stored_name)
        return tensor.float()

    def _index(self, path: Path, prefix: str, dtypes: set[torch.dtype]) -> list[str]:
        """Note where the tensors of a file are; return their names here."""
        is_static = self.config.get("model_type") == _STATIC
        try:
            if path.name == "model.safetensors" and has_own_rows(path.parent):
                found = {prefix + name: value for name, value in read_rows(path).items()}
                self._held |= found
                dtypes.add(torch.float32)
                return list(found)
            names = []
            with safe_open(str(path), framework="pt") as stored:
                for name in stored.keys():  # noqa: SIM118 - not a mapping
                    if name.endswith(_BUFFERS):
                        continue
                    dtype = stored.get_slice(name).get_dtype()
                    dtypes.add(_float_type(dtype, is_static=is_static, where=f"{path}: {name}"))
                    names.append(prefix + _new_name(name))
                    self._places[names[-1]] = (path, name)
        except (OSError, SafetensorError) as error:
            msg = f"{str(path)!r} cannot be read ({error}); fetch or save it again"
            raise UnsupportedModelError(msg) from error
        return names

    def _index_head(self, path: Path, *, allow_pickle: bool) -> None:
        if not allow_pickle:
            msg = (
                f"{str(path)!r} is a pickle, and unpickling can run code; pass allow_pickle=True (--allow-pickle) if "
                "you trust its source"
            )
            raise UnsafeModelError(msg)
        tensors = read_side_file(path.with_suffix(".absent"), path, allow_pickle=True)
        found = {f"{path.name}/{name}": value for name, value in tensors.items()}
        self._held |= found
        self.files[path.name] = list(found)


def module_folders(folder: Path) -> list[Path]:
    """Return the folders of sentence-transformers' modules beside the transformer."""
    path = folder / "modules.json"
    modules = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
    return [folder / one["path"] for one in modules if one.get("path")]


def check_mergeable(folders: Sequence[ModelFolder]) -> None:
    """Refuse checkpoints whose weights do not mean the same.

    Raises:
        UnsupportedModelError: Architecture, shapes, or vocabulary differ; the message says in what.
    """
    first = folders[0]
    for other in folders[1:]:
        for key in _DECISIVE:
            pair = _meant(first.config, key), _meant(other.config, key)
            if None not in pair and pair[0] != pair[1]:
                raise _refusal(first, other, f"{key} is {pair[0]!r} in one and {pair[1]!r} in the other")
        poolings = _pooling(first.path), _pooling(other.path)
        if None not in poolings and poolings[0] != poolings[1]:
            raise _refusal(first, other, f"the pooling is {poolings[0]} in one and {poolings[1]} in the other")
        _check_names(first, other)
        for name in sorted(first.names & other.names):
            shapes = first.shape(name), other.shape(name)
            if shapes[0] != shapes[1]:
                raise _refusal(first, other, f"{name} has the shape {shapes[0]} in one and {shapes[1]} in the other")
        _check_vocabulary(first, other)


def _pooling(folder: Path) -> dict[str, Any] | None:
    """Return what is on in the settings of sentence-transformers' pooling module; None if there is none."""
    for module in module_folders(folder):
        path = module / "config.json"
        found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        modes = {name: value for name, value in found.items() if name.startswith("pooling_mode") and value}
        if modes:
            return modes
    return None


def _meant(config: dict[str, Any], key: str) -> Any:
    """Return a setting as transformers reads it.

    Gemma's first checkpoints say gelu, and are run with its tanh form; a kind of rotation was ``type`` before it was
    ``rope_type``, and stands in new files under both names or one.
    """
    value = config.get(key)
    if key.startswith("rope_") and isinstance(value, dict):
        kind = value.get("rope_type", value.get("type"))
        return {name: one for name, one in {**value, "rope_type": kind}.items() if name != "type" and one is not None}
    is_legacy = key == "hidden_act" and value == "gelu" and config.get("model_type") == "gemma"
    return "gelu_pytorch_tanh" if is_legacy else value


def _check_names(first: ModelFolder, other: ModelFolder) -> None:
    is_tied = first.config.get("tie_word_embeddings") or other.config.get("tie_word_embeddings")
    needless = {"lm_head.weight"} if is_tied else set()
    if first.is_bare and other.is_bare:
        needless |= {*_POOLER}
    for one, two in ((first, other), (other, first)):
        alone = sorted(one.names - two.names - needless)
        if alone:
            what = f"{len(alone)} weights are in {str(one.path)!r} only, the first is {alone[0]}"
            raise _refusal(first, other, what)


def _check_vocabulary(first: ModelFolder, other: ModelFolder) -> None:
    for name in ("tokenizer.json", "vocab.txt", "vocab.json", "sentencepiece.bpe.model", "spiece.model"):
        paths = first.path / name, other.path / name
        if not all(path.is_file() for path in paths):
            continue
        one, two = (_vocabulary(path) for path in paths)
        if one != two:
            raise _refusal(first, other, f"their tokenizers differ ({name}), so a token has two meanings")
        return


def _vocabulary(path: Path) -> Any:
    """Return the id of each token that a tokenizer's file has, whether it is one of the model's or was added."""
    if path.name != "tokenizer.json":
        return path.read_bytes()
    content = json.loads(path.read_text(encoding="utf-8"))
    listed = content.get("model", {}).get("vocab") or {}
    # Of Unigram it is a list of pieces, each with its score.
    own = listed if isinstance(listed, dict) else {piece[0]: (n, piece[1]) for n, piece in enumerate(listed)}
    return {**own, **{one["content"]: one["id"] for one in content.get("added_tokens", [])}}


def _refusal(first: ModelFolder, other: ModelFolder, what: str) -> UnsupportedModelError:
    msg = (
        f"{str(first.path)!r} and {str(other.path)!r} cannot be averaged: {what}. Merge a tuned model with the very "
        "model that it was tuned from"
    )
    return UnsupportedModelError(msg)


def _read_config(folder: Path) -> dict[str, Any]:
    try:
        config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        if (folder / "adapter_config.json").is_file():
            raise UnsupportedModelError(_without_weights(folder)) from error
        msg = f"{str(folder / 'config.json')!r} cannot be read ({error}); name a folder with a saved model"
        raise UnsupportedModelError(msg) from error
    return config


def _without_weights(folder: Path) -> str:
    if (folder / "adapter_config.json").is_file():
        return f"{str(folder)!r} is a LoRA adapter; merge it into its model with peft's merge_and_unload, and save that"
    return f"{str(folder)!r} has no *.safetensors, and models are merged from nothing else; convert its weights"


def _module_name(name: str) -> str:
    """Return the name in sentence-transformers' format of a tensor of colbert-ai's."""
    return f"1_Dense/{name}" if name.startswith("linear.") else name.partition(".")[2]


def _new_name(name: str) -> str:
    for old, new in _OLD_NAMES.items():
        if name.endswith(old):
            return name.removesuffix(old) + new
    return name


def _float_type(dtype: str, *, is_static: bool, where: str) -> torch.dtype:
    known = {"F64": torch.float32, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
    if dtype in known:
        return known[dtype]
    if is_static:  # whole numbers of which only the direction counts
        return torch.float32
    msg = f"{where} is {dtype}: quantised weights cannot be averaged; merge the models before they are quantised"
    raise UnsupportedModelError(msg)


def _widest(dtypes: Iterable[torch.dtype]) -> torch.dtype:
    found = set(dtypes)
    return found.pop() if len(found) == 1 else torch.float32
