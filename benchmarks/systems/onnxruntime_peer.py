"""ONNX Runtime on the exported model, with length-sorted batches."""

from __future__ import annotations

from typing import Any

from benchmarks.systems.base import OpenRequest, Pairs, System, SystemSpec, import_peer
from benchmarks.systems.exported import SortedBatches, as_onnx

__all__ = ["ONNX_RUNTIME", "OnnxRuntimePeer"]


class OnnxRuntimePeer:
    """An inference session with all graph optimisations.

    Args:
        request: What to open.
    """

    def __init__(self, request: OpenRequest) -> None:
        runtime = import_peer("onnxruntime", install="pip install -r benchmarks/requirements.txt")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = request.threads
        file = as_onnx(request)
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


def _open(request: OpenRequest) -> System:
    return OnnxRuntimePeer(request)


ONNX_RUNTIME = SystemSpec(name="ONNX Runtime, length-sorted", dtype="float32", open=_open)
