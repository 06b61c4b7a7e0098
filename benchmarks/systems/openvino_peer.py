"""OpenVINO on the converted model, with length-sorted batches."""

from __future__ import annotations

import warnings
from functools import partial
from typing import Any

from benchmarks.systems.base import OpenRequest, Pairs, System, SystemSpec, import_peer
from benchmarks.systems.exported import SortedBatches, calibration_pairs, traceable

__all__ = ["OPENVINO", "OPENVINO_BF16", "OPENVINO_INT8", "OpenVinoPeer"]


class OpenVinoPeer:
    """A compiled graph for the CPU.

    Args:
        request: What to open.
        precision: ``f32`` or ``bf16``; OpenVINO would choose by itself otherwise. ``i8`` quantises weights and
            activations with NNCF first, by its settings for transformers, and leaves the rest in float32.
    """

    def __init__(self, request: OpenRequest, *, precision: str) -> None:
        openvino = import_peer("openvino", install="pip install -r benchmarks/requirements.txt")
        core = openvino.Core()
        model, inputs = traceable(request.folder)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the tracer
            graph = openvino.convert_model(model, example_input=tuple(inputs.values()))
        for port, name in zip(graph.inputs, inputs, strict=True):
            port.get_tensor().set_names({name})
        self._batches = SortedBatches(request, list(inputs))
        if precision == "i8":
            graph = self._in_int8(graph)
        hints = {
            "INFERENCE_PRECISION_HINT": "f32" if precision == "i8" else precision,
            "INFERENCE_NUM_THREADS": request.threads,
            "PERFORMANCE_HINT": "LATENCY",
        }
        self._compiled: Any = core.compile_model(graph, "CPU", hints)

    def score(self, pairs: Pairs) -> list[float]:
        """Return the raw logit of each pair, in order."""
        scores = [0.0] * len(pairs)
        for batch, arrays in self._batches(pairs):
            for index, row in zip(batch, self._compiled(arrays)[0], strict=True):
                scores[index] = float(row[0])
        return scores

    def _in_int8(self, graph: Any) -> Any:
        nncf = import_peer("nncf", install="pip install -r benchmarks/requirements.txt")
        arrays = [one for _, one in self._batches(calibration_pairs())]
        return nncf.quantize(graph, nncf.Dataset(arrays), model_type=nncf.ModelType.TRANSFORMER)

    def close(self) -> None:
        """Give memory back."""
        self._compiled = None


def _open(request: OpenRequest, *, precision: str) -> System:
    return OpenVinoPeer(request, precision=precision)


OPENVINO = SystemSpec(name="OpenVINO, length-sorted", dtype="float32", open=partial(_open, precision="f32"))
OPENVINO_INT8 = SystemSpec(name="OpenVINO NNCF, length-sorted", dtype="int8", open=partial(_open, precision="i8"))
OPENVINO_BF16 = SystemSpec(name="OpenVINO, length-sorted", dtype="bfloat16", open=partial(_open, precision="bf16"))
