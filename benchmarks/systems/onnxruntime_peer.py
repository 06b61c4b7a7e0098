"""ONNX Runtime on the exported model, with length-sorted batches."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.systems.base import OpenRequest, Pairs, System, SystemSpec, import_peer
from benchmarks.systems.exported import SortedBatches, as_onnx

__all__ = ["ONNX_RUNTIME", "ONNX_RUNTIME_INT8", "OnnxRuntimePeer"]


class OnnxRuntimePeer:
    """An inference session with all graph optimisations.

    Args:
        request: What to open.
        int8: Whether it is quantised dynamically first, weights by output channel.
    """

    def __init__(self, request: OpenRequest, *, int8: bool = False) -> None:
        runtime = import_peer("onnxruntime", install="pip install -r benchmarks/requirements.txt")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = request.threads
        file = _in_int8(as_onnx(request)) if int8 else as_onnx(request)
        self._session: Any = runtime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        self._batches = SortedBatches(request, [one.name for one in self._session.get_inputs()])

    def score(self, pairs: Pairs) -> list[float]:
        """Return the raw logit of each pair, in order."""
        scores = [0.0] * len(pairs)
        for batch, arrays in self._batches(pairs):
            for index, row in zip(batch, self._session.run(None, arrays)[0], strict=True):
                scores[index] = float(row[0])
        return scores

    def close(self) -> None:
        """Give memory back."""
        self._session = None


def _in_int8(file: Path) -> Path:
    target = file.with_suffix(".int8.onnx")
    if not target.is_file():
        quantization = import_peer("onnxruntime.quantization", install="pip install -r benchmarks/requirements.txt")
        quantization.quantize_dynamic(file, target, per_channel=True)
    return target


def _open(request: OpenRequest, *, int8: bool = False) -> System:
    return OnnxRuntimePeer(request, int8=int8)


ONNX_RUNTIME = SystemSpec(name="ONNX Runtime, length-sorted", dtype="float32", open=_open)
ONNX_RUNTIME_INT8 = SystemSpec(name="ONNX Runtime dynamic, length-sorted", dtype="int8", open=partial(_open, int8=True))
