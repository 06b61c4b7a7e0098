"""Low-rank adapters on a network, made and trained with PEFT, and written in its format."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from rerank_plugins.catalog.lora_files import ADAPTER_WEIGHTS, read_lora_files
from rerank_plugins.checks.optional import import_extra
from rerank_plugins.errors import InvalidInputError, UnsupportedModelError
from rerank_plugins.training.settings_llm import LoraSettings
from rerank_plugins.weights.lora import merge_lora, names_stored_as_in_out

__all__ = ["Adapter", "LoraPlace", "attach_lora", "merge_raw"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Adapter:
    """An adapter that is in a network.

    Attributes:
        peft: PEFT's model around the network, which is the same as without it.
        base: The model that it is used with; None if there is no such checkpoint.
        saves_merged: Whether the whole model is saved too.
    """

    peft: Any
    base: str | Path | None
    saves_merged: bool

    def save(self, folder: Path) -> None:
        """Write ``adapter_model.safetensors`` and ``adapter_config.json``.

        Raises:
            OSError: They cannot be written.
        """
        peft = import_extra("peft", extra="train")
        tensors = {
            name: one.detach().float().contiguous().clone()
            for name, one in peft.get_peft_model_state_dict(self.peft).items()
        }
        save_file(tensors, folder / ADAPTER_WEIGHTS, metadata={"format": "pt"})
        config = self.peft.peft_config["default"]
        was, config.inference_mode = config.inference_mode, True
        config.save_pretrained(folder)
        config.inference_mode = was

    def merge(self) -> None:
        """Make the adapter part of the network's weights, for good."""
        self.peft.merge_and_unload()


@dataclass(frozen=True, slots=True, kw_only=True)
class LoraPlace:
    """Where an adapter goes.

    Attributes:
        model: The model's id or folder, as it is written into the adapter's config.
        base: See :class:`Adapter`.
        seed: Of the first weights.
        kept: Modules that can have none, by the last part of their names, each with the reason.
    """

    model: str
    base: str | Path | None
    seed: int
    kept: dict[str, str]


def merge_raw(network: nn.Module, lora: LoraSettings, *, local_files_only: bool) -> None:
    """Merge the adapters ``raw_peft`` into a network's weights.

    Raises:
        InvalidInputError: A path cannot be one.
        ModelError: There is no such adapter, or it is for another model.
    """
    for path in lora.raw_peft:
        adapter = read_lora_files(path, local_files_only=local_files_only)
        in_out = names_stored_as_in_out(network)
        merge_lora(dict(network.named_parameters()), adapter, stored_as_in_out=in_out)


def attach_lora(network: nn.Module, lora: LoraSettings, place: LoraPlace, *, local_files_only: bool) -> Adapter:
    """Put a new adapter, or the one to go on with, into a network; everything else in it is frozen.

    Args:
        network: What gets it, in place.
        lora: What it is like.
        place: Where it goes.
        local_files_only: Whether the network of machines is never touched.

    Raises:
        InvalidInputError: The network has no layers of the names in ``target_modules`` or ``modules_to_save``.
        ModelError: The adapter to go on with is missing, or for another model.
        MissingExtraError: PEFT is not installed.
    """
    peft = import_extra("peft", extra="train")
    stored = None
    if lora.from_peft is None:
        config = peft.LoraConfig(
            r=lora.lora_rank,
            lora_alpha=lora.lora_alpha,
            lora_dropout=lora.lora_dropout,
            target_modules=list(lora.target_modules),
            modules_to_save=list(lora.modules_to_save) or None,
        )
    else:
        files = read_lora_files(lora.from_peft, local_files_only=local_files_only)
        config, stored = peft.LoraConfig.from_pretrained(str(files.folder)), load_file(files.weights)
        config.inference_mode, config.task_type = False, None
    _check_names(network, "target_modules", config.target_modules or (), place.kept, kinds=(nn.Linear, nn.Embedding))
    _check_names(network, "modules_to_save", config.modules_to_save or (), place.kept, kinds=(nn.Module,))
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        # PEFT asks transformers 5 for something by its name in transformers 4.
        warnings.simplefilter("ignore", FutureWarning)
        torch.manual_seed(place.seed)
        wrapped = peft.get_peft_model(network, config)
    wrapped.peft_config["default"].base_model_name_or_path = place.model
    if stored is not None:
        _fill(wrapped, stored, peft=peft, path=str(lora.from_peft))
    return Adapter(peft=wrapped, base=place.base, saves_merged=lora.save_merged_lora_model)


def _fill(wrapped: Any, stored: dict[str, torch.Tensor], *, peft: Any, path: str) -> None:
    """Load an adapter's weights, all of them."""
    wanted = set(peft.get_peft_model_state_dict(wrapped))
    if wanted != set(stored):
        lost = sorted(wanted.symmetric_difference(stored))
        msg = f"the adapter {path!r} is for another model: {len(lost)} weights do not fit ({', '.join(lost[:3])}...)"
        raise UnsupportedModelError(msg)
    try:
        peft.set_peft_model_state_dict(wrapped, stored)
    except RuntimeError as error:
        msg = f"the adapter {path!r} is for a model of another size ({error})"
        raise UnsupportedModelError(msg) from error


def _check_names(
    network: nn.Module,
    setting: str,
    modules: Iterable[str] | str,
    kept: dict[str, str],
    *,
    kinds: tuple[type[nn.Module], ...],
) -> None:
    """Raise for names that no module of the network has; PEFT leaves them out without a word if one fits."""
    if isinstance(modules, str):  # a regular expression in an adapter's config, which PEFT checks itself
        return
    names = [name for name, module in network.named_modules() if name and isinstance(module, kinds)]
    lost = [one for one in modules if not any(name == one or name.endswith(f".{one}") for name in names)]
    if lost:
        there = _last_parts(names, kept)
        msg = f"{setting} names {', '.join(map(repr, lost))}, and the model has no such layer; there are {there}"
        raise InvalidInputError(msg)
    for one in modules:
        reason = kept.get(one.rsplit(".", 1)[-1])
        if reason is not None:
            msg = f"{setting} names {one!r}, {reason}; take it out"
            raise InvalidInputError(msg)


def _last_parts(names: Iterable[str], kept: Collection[str]) -> str:
    last = dict.fromkeys(name.rsplit(".", 1)[-1] for name in names)
    return ", ".join(sorted(one for one in last if one not in kept and not one.isdigit()))
