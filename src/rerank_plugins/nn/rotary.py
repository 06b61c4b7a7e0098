"""Rotary frequencies that follow the longest text of a forward pass: which inputs may run together.

transformers chooses the frequencies of ``longrope`` (one set up to a length, another above it) and of ``dynamic`` (a
set for each length above the one that the model was trained with) once a forward pass, by the longest text in it, and
``dynamic`` keeps the last ones. A short text beside a long one would get the long one's.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

__all__ = ["RotaryLengths"]


class RotaryLengths:
    """What a transformers model's rotary embeddings say of lengths.

    Args:
        model: The model; most have fixed frequencies, or none.
    """

    def __init__(self, model: Any) -> None:
        modules = [one for one in model.modules() if hasattr(one, "rope_type")]
        self._limits = sorted({limit for one in modules if "longrope" in _kinds(one) for limit in _limits(one)})
        self._dynamic = [one for one in modules if "dynamic" in _kinds(one)]
        self._trained = min((int(one.original_max_seq_len) for one in self._dynamic), default=0)

    def groups(self, lengths: Sequence[int]) -> list[list[int]]:
        """Return the places of inputs that get the same frequencies alone and together.

        Args:
            lengths: Tokens of each input.
        """
        if not self._limits and not self._dynamic:
            return [list(range(len(lengths)))]
        groups: dict[tuple[int, int], list[int]] = {}
        for place, length in enumerate(lengths):
            own = length if self._dynamic and length > self._trained else 0
            groups.setdefault((bisect_left(self._limits, length), own), []).append(place)
        return list(groups.values())

    def reset(self) -> None:
        """Forget the frequencies of the forward pass before."""
        for module in self._dynamic:
            for name in [one for one in vars(module) if one.endswith("max_seq_len_cached")]:
                setattr(module, name, module.original_max_seq_len)
            for name in [one for one in module._buffers if one.endswith("inv_freq") and "original" not in one]:
                original = getattr(module, name.replace("inv_freq", "original_inv_freq"))
                setattr(module, name, original.to(getattr(module, name).device))


def _kinds(module: Any) -> set[str]:
    kinds = module.rope_type
    return set(kinds.values()) if isinstance(kinds, Mapping) else {str(kinds)}


def _limits(module: Any) -> Iterator[int]:
    """Yield the lengths above which the other set may be taken: versions read them from different places."""
    config = module.config
    settings = [getattr(config, name, None) or {} for name in ("rope_parameters", "rope_scaling")]
    nested = [one for setting in settings for one in setting.values() if isinstance(one, Mapping)]
    name = "original_max_position_embeddings"
    found = [one.get(name) for one in (*settings, *nested)]
    found += [getattr(config, one, None) for one in (name, "max_position_embeddings")]
    yield from (int(one) for one in found if one)
