"""The few messages of ``onnx.proto`` that a graph needs, written as protocol buffers.

Reference: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto (field numbers) and
https://protobuf.dev/programming-guides/encoding/ (varints and length-delimited fields). The ``onnx`` package would add
40 MB to an installation and a third of a second to the first score, and nothing here is read, only written.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Attribute", "ExternalData", "model", "node", "tensor", "value_info"]

Attribute = int | float | str | Sequence[int]

_VARINT, _LENGTH, _FIXED32 = 0, 2, 5
_INT_BITS = 64

_DTYPES: Mapping[str, int] = {"float32": 1, "uint8": 2, "int8": 3, "int32": 6, "int64": 7, "bool": 9}
"""``TensorProto.DataType``."""

_FLOAT, _INT, _STRING, _INTS = 1, 2, 3, 7
"""``AttributeProto.AttributeType``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalData:
    """Where the numbers of a tensor are, outside the model's file."""

    location: str
    offset: int
    length: int


def model(
    *,
    nodes: Iterable[bytes],
    tensors: Iterable[bytes],
    inputs: Iterable[bytes],
    outputs: Iterable[bytes],
    opsets: Mapping[str, int],
    metadata: Mapping[str, str],
) -> bytes:
    """Return a ``ModelProto`` of parts that the functions below have written.

    Args:
        nodes: The operations, each after those whose results it takes.
        tensors: Constants.
        inputs: What is fed.
        outputs: What comes out.
        opsets: Version of each domain's operators.
        metadata: Texts for people.
    """
    graph = b"".join(_bytes(1, one) for one in nodes) + _bytes(2, b"rerank_plugins")
    graph += b"".join(_bytes(5, one) for one in tensors)
    graph += b"".join(_bytes(11, one) for one in inputs) + b"".join(_bytes(12, one) for one in outputs)
    made = _int(1, 9) + _bytes(2, b"rerank-plugins") + _bytes(7, graph)
    made += b"".join(_bytes(8, _text(1, domain) + _int(2, version)) for domain, version in opsets.items())
    return made + b"".join(_bytes(14, _text(1, key) + _text(2, value)) for key, value in metadata.items())


def node(
    operator: str, inputs: Sequence[str], outputs: Sequence[str], *, domain: str, attributes: Mapping[str, Attribute]
) -> bytes:
    """Return a ``NodeProto``."""
    made = b"".join(_text(1, one) for one in inputs) + b"".join(_text(2, one) for one in outputs)
    made += _text(3, f"{operator}/{outputs[0]}") + _text(4, operator)
    made += b"".join(_bytes(5, _attribute(name, value)) for name, value in attributes.items())
    return made + _text(7, domain)


def tensor(name: str, array: npt.NDArray[np.generic], *, external: ExternalData | None = None) -> bytes:
    """Return a ``TensorProto``; its numbers are inside, or at another place."""
    made = b"".join(_int(1, size) for size in array.shape) + _int(2, _DTYPES[array.dtype.name]) + _text(8, name)
    if external is None:
        return made + _bytes(9, np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False).tobytes())
    entries = {"location": external.location, "offset": str(external.offset), "length": str(external.length)}
    return made + b"".join(_bytes(13, _text(1, key) + _text(2, value)) for key, value in entries.items()) + _int(14, 1)


def value_info(name: str, dtype: str, shape: Sequence[int | str]) -> bytes:
    """Return a ``ValueInfoProto``; a size that is a word is one that shows at run time."""
    sizes = b"".join(_bytes(1, _text(2, one) if isinstance(one, str) else _int(1, one)) for one in shape)
    return _text(1, name) + _bytes(2, _bytes(1, _int(1, _DTYPES[dtype]) + _bytes(2, sizes)))


def _attribute(name: str, value: Attribute) -> bytes:
    made = _text(1, name)
    if isinstance(value, int):
        return made + _int(3, value) + _int(20, _INT)
    if isinstance(value, float):
        return made + _key(2, _FIXED32) + struct.pack("<f", value) + _int(20, _FLOAT)
    if isinstance(value, str):
        return made + _bytes(4, value.encode()) + _int(20, _STRING)
    return made + b"".join(_int(8, one) for one in value) + _int(20, _INTS)


def _key(field: int, kind: int) -> bytes:
    return _varint(field << 3 | kind)


def _int(field: int, value: int) -> bytes:
    return _key(field, _VARINT) + _varint(value)


def _text(field: int, value: str) -> bytes:
    return _bytes(field, value.encode())


def _bytes(field: int, value: bytes) -> bytes:
    return _key(field, _LENGTH) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    rest = value % (1 << _INT_BITS)  # two's complement
    made = bytearray()
    while rest > 0x7F:
        made.append(rest & 0x7F | 0x80)
        rest >>= 7
    made.append(rest)
    return bytes(made)
