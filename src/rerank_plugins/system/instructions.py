"""Which instructions the processor has, as torch tells."""

from __future__ import annotations

__all__ = ["multiplies_int8"]


def multiplies_int8() -> bool:
    """Return whether the processor has dot products of 8-bit integers (AVX-512 VNNI, AMX); needs torch."""
    import torch

    names = ("_is_vnni_supported", "_is_avx512_vnni_supported", "_is_amx_tile_supported")
    return any(bool(getattr(torch.cpu, name)()) for name in names if hasattr(torch.cpu, name))
