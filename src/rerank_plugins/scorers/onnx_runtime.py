"""BERT-like models in ONNX Runtime, and static embedders in NumPy: what runs a checkpoint where torch is missing.

The graph is made in memory when a model is loaded (:mod:`rerank_plugins.graphs`); no file of a checkpoint is run.
Scores and vectors are those of torch in float32 up to rounding.
"""

from __future__ import annotations

import ctypes
import logging
import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from rerank_plugins.catalog.file_names import weight_files
from rerank_plugins.catalog.scorer_traits import CROSS_ENCODER, STATIC, TRANSFORMER
from rerank_plugins.checks.boundary import checkpoint_errors
from rerank_plugins.checks.optional import import_extra
from rerank_plugins.engine import forking
from rerank_plugins.errors import UnsupportedModelError
from rerank_plugins.graphs.builder import GraphBuilder
from rerank_plugins.graphs.models import build_graph, build_states_graph
from rerank_plugins.graphs.proto import ExternalData
from rerank_plugins.graphs.settings import refuse
from rerank_plugins.nn.int8_bound import why_too_far
from rerank_plugins.protocols import Batch, PairSegments, TokenInput
from rerank_plugins.scorers.int8 import refuse_int8, trial_texts
from rerank_plugins.scorers.static import load as load_static
from rerank_plugins.weights.arrays import Arrays, read_file
from rerank_plugins.weights.base import CheckpointRequest, LoadedParts
from rerank_plugins.weights.checks import check_weights
from rerank_plugins.weights.own_rows import has_own_rows, read_row_arrays
from rerank_plugins.weights.tokenizers import load_tokenizer

__all__ = ["EXTRA", "OnnxScorer", "load", "read_weights"]

logger = logging.getLogger(__name__)

EXTRA = "onnx"
"""The extra that installs ONNX Runtime."""

_MEMORY = "memory"

_TRIAL = [
    TokenInput(np.arange(length, dtype=np.int32), np.zeros(length, np.int32), PairSegments(1, 2, 3, length - 1))
    for length in (9, 5)
]
"""Inputs of any model. Shapes that do not fit show at them, and not at a user's text; so do masks that an operator gets
wrong, as several of ONNX Runtime's have at some time."""

_NEAR = 1e-3


class OnnxScorer:
    """A model in ONNX Runtime.

    ONNX Runtime's threads do not survive a fork, so a forked process makes a session of its own at its first batch.

    Args:
        open_session: Makes the session.
    """

    is_padded = True
    padding_reason = "attention alone; all other work in ONNX Runtime leaves padding out"

    def __init__(self, open_session: Callable[[], Any]) -> None:
        self._open = open_session
        self._session: Any = open_session()
        self._inputs = {one.name for one in self._session.get_inputs()}
        forking.watch(self)

    def forward(self, batch: Batch) -> npt.NDArray[np.float32]:
        """Return one row per input. Shape: (inputs, width), float32.

        Zeros for an input without any token, which an empty text is to a tokenizer that puts none around it.
        """
        if self._session is None:
            self._session = self._open()
        rows: npt.NDArray[np.float32] = self._session.run(None, self._fed(batch))[0]
        empty = [place for place, one in enumerate(batch.inputs) if len(one) == 0]
        if empty:
            rows = rows.copy()
            rows[empty] = 0
        return rows

    def after_fork(self) -> None:
        """Forget the session of the parent, whose threads do not exist here: ending them would wait for ever."""
        if self._session is not None:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._session))
            self._session = None

    def close(self) -> None:
        """Free the weights."""
        self._session = None

    def _fed(self, batch: Batch) -> Mapping[str, npt.NDArray[np.int64]]:
        """Return the inputs of the graph; see :func:`rerank_plugins.graphs.encoder.declare_inputs`."""
        # An input without tokens has one that nobody reads: the graph takes no empty text.
        shape = len(batch), max(1, *batch.lengths)
        fed = {"input_ids": np.zeros(shape, np.int64), "attention_mask": np.zeros(shape, np.int64)}
        if "token_type_ids" in self._inputs:
            fed["token_type_ids"] = np.zeros(shape, np.int64)
        for row, one in enumerate(batch.inputs):
            length = len(one)
            fed["input_ids"][row, :length] = one.ids
            fed["attention_mask"][row, : max(1, length)] = 1
            if "token_type_ids" in fed:
                fed["token_type_ids"][row, :length] = one.type_ids
        if "segments" in self._inputs:
            bounds: list[Any] = [one.segments for one in batch.inputs]
            fed["segments"] = np.array(
                [(one.query_start, one.query_end, one.document_start, one.document_end) for one in bounds], np.int64
            )
        if "second_starts" in self._inputs:
            fed["second_starts"] = np.array([one.second_start for one in batch.inputs], np.int64)
        return fed


def load(request: CheckpointRequest, *, is_int8: bool = False) -> LoadedParts:
    """Load a model without torch.

    Args:
        request: What to load.
        is_int8: Whether the layers' products shall be in eight bits. Where the processor has none, or states would not
            stay near those in float32, they are in float32, with a warning.

    Raises:
        MissingExtraError: ONNX Runtime is not installed.
        UnsupportedModelError: It is no BERT-like cross-encoder or embedder and no static embedder, or its files are
            damaged.
        UnsafeModelError: It has only pickled weights.
    """
    kind = request.spec.scorer
    if is_int8:
        refuse_int8(request.spec, request.files)
    if kind == STATIC:
        return load_static(request)
    if kind not in (CROSS_ENCODER, TRANSFORMER):
        raise refuse(request.files, f"its scorer is {kind!r}")
    runtime = import_extra("onnxruntime", extra=EXTRA)
    tokenizer = load_tokenizer(request)
    check_weights(request)
    too_far = _why_not_int8(runtime, request, trial_texts(request, tokenizer)) if is_int8 else ""
    if too_far:
        logger.warning("dtype='int8' is not used for %s, which runs in float32: %s", request.spec.id, too_far)
    runs_int8 = is_int8 and not too_far
    scorer = OnnxScorer(lambda: _session(runtime, request, is_int8=runs_int8))
    with checkpoint_errors(f"run {str(request.files.folder)!r} in ONNX Runtime {runtime.__version__}"):
        together = scorer.forward(Batch(_TRIAL))
        alone = np.concatenate([scorer.forward(Batch([one])) for one in _TRIAL])
    if not np.allclose(together, alone, rtol=_NEAR, atol=_NEAR, equal_nan=True):
        msg = (
            f"ONNX Runtime {runtime.__version__} gives {str(request.files.folder)!r} other numbers in a batch than "
            "alone; install another version: pip install --upgrade onnxruntime"
        )
        raise UnsupportedModelError(msg)
    return LoadedParts(tokenizer=tokenizer, scorer=scorer, runs_int8=runs_int8)


def read_weights(request: CheckpointRequest) -> Arrays:
    """Return a checkpoint's weights by name, in float32.

    Raises:
        UnsupportedModelError: There are none in safetensors files, or one cannot be read.
    """
    folder = request.files.folder
    if has_own_rows(folder):
        return read_row_arrays(folder / "model.safetensors")
    found: Arrays = {}
    for path in weight_files(folder):
        found |= read_file(path)
    if not found:
        raise refuse(request.files, "it has no *.safetensors files")
    return found


def _session(runtime: Any, request: CheckpointRequest, *, is_int8: bool) -> Any:
    """Return a session on a checkpoint's weights."""
    made = build_graph(request.spec, request.files, read_weights(request), is_int8=is_int8)
    with checkpoint_errors(f"run {str(request.files.folder)!r} in ONNX Runtime {runtime.__version__}"):
        return _opened(runtime, made.graph)


def _why_not_int8(runtime: Any, request: CheckpointRequest, texts: Batch) -> str:
    """Return why products in eight bits are not for this processor, or not for this model; empty if they are."""
    if not _has_int8_products(runtime):
        return "this processor has no exact products of 8-bit integers (VNNI)"
    weights = read_weights(request)

    def states(*, is_int8: bool) -> npt.NDArray[np.float32]:
        graph = build_states_graph(request.files, weights, is_int8=is_int8)
        return OnnxScorer(lambda: _opened(runtime, graph)).forward(texts)

    with checkpoint_errors(f"run {str(request.files.folder)!r} in ONNX Runtime {runtime.__version__}"):
        return why_too_far(states(is_int8=True), states(is_int8=False))


def _has_int8_products(runtime: Any) -> bool:
    """Return whether products in eight bits are exact: without VNNI, sums of two are cut off at 16 bits."""
    width = 64
    graph = GraphBuilder()
    rows = graph.input("rows", "uint8", ("rows", width))
    weight = graph.weight("weight", np.full((width, width), 127, np.int8))
    sums = graph.add("MatMulInteger", rows, weight, graph.constant(0, "uint8"))
    graph.output(graph.add("Cast", sums, attributes={"to": 1}), "sums", ("rows", width))
    found = _opened(runtime, graph).run(None, {"rows": np.full((width, width), 255, np.uint8)})[0]
    return bool((found == 255 * 127 * width).all())


def _opened(runtime: Any, graph: GraphBuilder) -> Any:
    weights = graph.weights
    places = {name: ExternalData(location=_MEMORY, offset=0, length=array.nbytes) for name, array in weights.items()}
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    # The graph is written as it is to run: further fusions change from release to release.
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.intra_op_num_threads = _threads()
    # Threads that wait for work must not take the processor from others between two batches.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    values = [runtime.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array)) for array in weights.values()]
    options.add_external_initializers(list(weights), values)
    return runtime.InferenceSession(graph.model(places), options, providers=["CPUExecutionProvider"])


def _threads() -> int:
    """Return the threads of a product; 0 leaves it to ONNX Runtime, which takes one for each core."""
    requested = os.environ.get("OMP_NUM_THREADS", "")
    return int(requested) if requested.isascii() and requested.isdigit() else 0
