"""LoRA adapters merged into a model's weights at load: ``W + scale * B A``.

Reference: Hu et al. 2021, arXiv:2106.09685; huggingface/peft ``tuners/lora/layer.py`` (``get_delta_weight``); the scale
alpha / sqrt(rank) is Kalajdzievski 2023, arXiv:2312.03732. Sums are made in float32 and rounded once to the model's
precision. The merged model is as fast as one without a LoRA adapter.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import torch
from safetensors import SafetensorError, safe_open

from rerank_plugins.catalog.lora_files import LoraFiles
from rerank_plugins.errors import UnsupportedModelError

__all__ = ["merge_lora", "names_stored_as_in_out"]

_PREFIX = "base_model.model."
_KEY = re.compile(r"(?P<module>.+)\.lora_(?P<part>embedding_A|embedding_B|A|B)(\.weight)?$")


@dataclass(slots=True)
class _Pair:
    """The two matrices of one module. Shapes: a (rank, in), b (out, rank)."""

    a: torch.Tensor | None = None
    b: torch.Tensor | None = None
    is_embedding: bool = False


@dataclass(slots=True)
class _Contents:
    pairs: dict[str, _Pair] = field(default_factory=dict)
    replaced: dict[str, torch.Tensor] = field(default_factory=dict)


@torch.no_grad()
def merge_lora(weights: Mapping[str, torch.Tensor], lora: LoraFiles, *, stored_as_in_out: Collection[str] = ()) -> None:
    """Merge a LoRA adapter into a model's weights, in place. Modules that were trained in full replace the model's.

    Names count with and without the prefix of the base model (``model.``), since a model may be loaded without its
    output matrix.

    Args:
        weights: Name to weight, as in ``dict(model.named_parameters())``.
        lora: What to merge.
        stored_as_in_out: Names of weights of the shape (in, out), see :func:`names_stored_as_in_out`. What the file's
            own ``fan_in_fan_out`` says does not count, as in peft, which goes by the layer.

    Raises:
        UnsupportedModelError: The adapter is for a module that the model does not have, or of another size.
    """
    contents = _read(lora)
    changes: list[tuple[torch.Tensor, torch.Tensor, bool]] = []
    lost = []
    for name, tensor in contents.replaced.items():
        found = _find(weights, name)
        if found is None:
            lost.append(name)
        else:
            changes.append((weights[found], tensor.to(weights[found].device), False))
    misfits = [weight.shape != value.shape for weight, value, _ in changes]
    for module, pair in contents.pairs.items():
        found = _find(weights, f"{module}.weight")
        if found is None or pair.a is None or pair.b is None:
            lost.append(module)
            continue
        weight, is_transposed = weights[found], pair.is_embedding or found in stored_as_in_out
        # Before the product is computed: two thin matrices of a small file may give one that fills the memory.
        misfits.append(not _fits(weight.T if is_transposed else weight, pair.a, pair.b))
        if misfits[-1]:
            continue
        delta = _delta(lora, pair.a, pair.b, module=module)
        changes.append((weight, (delta.T if is_transposed else delta).to(weight.device), True))
    _refuse(lora, lost, misfits)
    for weight, value, is_added in changes:
        weight.copy_(weight.float() + value if is_added else value)


def names_stored_as_in_out(network: torch.nn.Module) -> frozenset[str]:
    """Return the names of a network's weights that have the shape (in, out): those of GPT-2's ``Conv1D``.

    All other layers have (out, in), as :class:`torch.nn.Linear`.
    """
    # By its name: this module does without transformers.
    return frozenset(f"{name}.weight" for name, one in network.named_modules() if type(one).__name__ == "Conv1D")


def _read(lora: LoraFiles) -> _Contents:
    contents = _Contents()
    try:
        with safe_open(str(lora.weights), framework="pt") as stored:
            for key in sorted(stored.keys()):
                _sort_in(contents, key.removeprefix(_PREFIX), stored.get_tensor(key).float())
    except (OSError, SafetensorError) as error:
        msg = f"{str(lora.weights)!r} cannot be read ({error}); save the adapter again"
        raise UnsupportedModelError(msg) from error
    if not contents.pairs and not contents.replaced:
        msg = f"{str(lora.weights)!r} holds no LoRA matrices; was the right adapter saved?"
        raise UnsupportedModelError(msg)
    return contents


def _sort_in(contents: _Contents, key: str, tensor: torch.Tensor) -> None:
    found = _KEY.match(key)
    if found is None:
        # peft's wrappers around a module that was trained in full, and around an adapted embedding that is saved.
        contents.replaced[key.replace(".modules_to_save", "").replace(".base_layer", "")] = tensor
        return
    pair = contents.pairs.setdefault(found["module"], _Pair())
    pair.is_embedding = pair.is_embedding or found["part"].startswith("embedding")
    if found["part"].endswith("A"):
        pair.a = tensor
    else:
        pair.b = tensor


def _delta(lora: LoraFiles, a: torch.Tensor, b: torch.Tensor, *, module: str) -> torch.Tensor:
    """Return scale * B A. Shapes: a (rank, in), b (out, rank) to (out, in)."""
    rank = a.shape[0]
    # peft: a pattern counts for every module whose name ends in it; the first one that fits.
    alpha = next((value for name, value in lora.alpha_pattern.items() if _is_named(module, name)), lora.alpha)
    return (b @ a) * (alpha / (rank**0.5 if lora.root_scaling else rank))


def _fits(weight: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> bool:
    """Return whether B A has the weight's shape and a rank of at least 1. Shapes: a (rank, in), b (out, rank)."""
    are_matrices = weight.dim() == a.dim() == b.dim() == 2
    return are_matrices and 0 < a.shape[0] == b.shape[1] and weight.shape == (b.shape[0], a.shape[1])


def _is_named(module: str, pattern: str) -> bool:
    """Return whether a module's name, or a suffix of it after a dot, matches the pattern; ``.*`` matches anything.

    peft compiles the pattern as a regular expression. Here each part is searched for once, so that it always ends.
    """
    if pattern.startswith("^"):
        return _is_like(module, pattern[1:])
    ends = [0, *(index + 1 for index, sign in enumerate(module) if sign == ".")]
    return any(_is_like(module[start:], pattern) for start in ends)


def _is_like(text: str, pattern: str) -> bool:
    first, *rest = pattern.split(".*")
    if not rest or not text.startswith(first):
        return text == pattern
    position = len(first)
    for piece in rest[:-1]:
        position = text.find(piece, position) + len(piece)
        if position < len(piece):
            return False
    return text.endswith(rest[-1]) and len(text) - len(rest[-1]) >= position


def _find(weights: Mapping[str, torch.Tensor], name: str) -> str | None:
    """Return what a weight is called in the model; None if it has none of that name."""
    return next((one for one in (name, name.removeprefix("model."), f"model.{name}") if one in weights), None)


def _refuse(lora: LoraFiles, lost: list[str], misfits: list[bool]) -> None:
    if lost:
        msg = (
            f"the adapter in {str(lora.folder)!r} is for {len(lost)} modules that this model does not have or does "
            f"not keep in memory ({', '.join(lost[:4])}...). Is it for this base model? Output matrices (lm_head) "
            "cannot be adapted here: merge such an adapter once with peft's merge_and_unload()."
        )
        raise UnsupportedModelError(msg)
    if any(misfits):
        msg = f"the matrices of the adapter in {str(lora.folder)!r} do not fit this model; is it for another size?"
        raise UnsupportedModelError(msg)
