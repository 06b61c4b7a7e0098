"""ONNX Runtime on the exported model, with length-sorted batches."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Literal

from benchmarks.systems.base import OpenRequest, Pairs, System, SystemSpec, import_peer
from benchmarks.systems.exported import SortedBatches, as_onnx, calibration_pairs

__all__ = ["ONNX_RUNTIME", "ONNX_RUNTIME_INT8", "ONNX_RUNTIME_STATIC", "OnnxRuntimePeer"]

_INSTALL = "pip install -r benchmarks/requirements.txt"

Int8 = Literal["dynamic", "static"]


class OnnxRuntimePeer:
    """An inference session with all graph optimisations.

    Args:
        request: What to open.
        int8: How it is quantised first, weights by output channel: ``dynamic``, activations by tensor and as they
            come; ``static``, activations by scales that were measured on other pairs. None for float32.
    """

    def __init__(self, request: OpenRequest, *, int8: Int8 | None = None) -> None:
        runtime = import_peer("onnxruntime", install=_INSTALL)
        options = runtime.SessionOptions()
        options.intra_op_num_threads = request.threads
        file = as_onnx(request) if int8 is None else _in_int8(request, int8)
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


class _Calibration:
    """Batches for onnxruntime's ``quantize_static``, which asks for one after another."""

    def __init__(self, batches: Iterator[dict[str, Any]]) -> None:
        self._batches = batches

    def get_next(self) -> dict[str, Any] | None:
        """Return the next batch; None at the end."""
        return next(self._batches, None)


def _in_int8(request: OpenRequest, how: Int8) -> Path:
    file = as_onnx(request)
    target = file.with_suffix(f".{how}.onnx")
    if target.is_file():
        return target
    quantization = import_peer("onnxruntime.quantization", install=_INSTALL)
    if how == "dynamic":
        quantization.quantize_dynamic(file, target, per_channel=True)
        return target
    prepared = file.with_suffix(".prepared.onnx")
    import_peer("onnxruntime.quantization.shape_inference", install=_INSTALL).quant_pre_process(
        file, prepared, skip_symbolic_shape=True
    )
    names = [one.name for one in import_peer("onnx", install=_INSTALL).load(str(file)).graph.input]
    batches = (arrays for _, arrays in SortedBatches(request, names)(calibration_pairs()))
    quantization.quantize_static(
        prepared,
        target,
        _Calibration(batches),
        per_channel=True,
        op_types_to_quantize=["MatMul", "Gemm"],
        # As dynamic quantisation does it: the products of the attention, which have no weight, stay float32.
        extra_options={"MatMulConstBOnly": True},
    )
    return target


def _open(request: OpenRequest, *, int8: Int8 | None = None) -> System:
    return OnnxRuntimePeer(request, int8=int8)


ONNX_RUNTIME = SystemSpec(name="ONNX Runtime, length-sorted", dtype="float32", open=_open)
ONNX_RUNTIME_INT8 = SystemSpec(
    name="ONNX Runtime dynamic, length-sorted", dtype="int8", open=partial(_open, int8="dynamic")
)
ONNX_RUNTIME_STATIC = SystemSpec(
    name="ONNX Runtime static, length-sorted", dtype="int8", open=partial(_open, int8="static")
)
