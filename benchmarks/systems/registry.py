"""All systems by name and precision, for jobs that run in a process of their own."""

from __future__ import annotations

from benchmarks.systems.base import SystemSpec
from benchmarks.systems.bcembedding_peer import BCE
from benchmarks.systems.flag_embedding_peer import FLAG_LLM_RERANKER, FLAG_RERANKER
from benchmarks.systems.flashrank_peer import FLASHRANK
from benchmarks.systems.onnxruntime_peer import ONNX_RUNTIME, ONNX_RUNTIME_INT8, ONNX_RUNTIME_STATIC
from benchmarks.systems.openvino_peer import OPENVINO, OPENVINO_BF16, OPENVINO_INT8
from benchmarks.systems.ours import CACHED, OURS, OURS_BF16, OURS_INT8
from benchmarks.systems.plain import PLAIN, SORTED, SORTED_BF16
from benchmarks.systems.sentence_transformers_peer import CROSS_ENCODER, CROSS_ENCODER_BATCHES

__all__ = ["EVERYBODY", "by_key"]

EVERYBODY: tuple[SystemSpec, ...] = (
    PLAIN,
    SORTED,
    SORTED_BF16,
    CROSS_ENCODER,
    *CROSS_ENCODER_BATCHES,
    FLAG_RERANKER,
    BCE,
    ONNX_RUNTIME,
    ONNX_RUNTIME_INT8,
    ONNX_RUNTIME_STATIC,
    OPENVINO,
    OPENVINO_BF16,
    OPENVINO_INT8,
    FLASHRANK,
    OURS,
    OURS_BF16,
    OURS_INT8,
)
"""Systems that run a cross-encoder; the first one's scores are the reference."""

_BY_KEY = {(spec.name, spec.dtype): spec for spec in (*EVERYBODY, CACHED, FLAG_LLM_RERANKER)}


def by_key(name: str, dtype: str) -> SystemSpec:
    """Return a system.

    Raises:
        KeyError: There is none of that name and precision.
    """
    return _BY_KEY[name, dtype]
