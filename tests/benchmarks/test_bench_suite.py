"""The whole suite on shapes so small that its numbers mean nothing; what must hold is that every case measures."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from small_benchmarks import SHAPES, TINY

from benchmarks.cases import CASES
from benchmarks.context import Context
from benchmarks.results import RunRecord, read_record, write_record

pytestmark = pytest.mark.slow

# Different cases decide different targets; what each must decide is written down here.
DECIDES = {
    "mixed": {
        "scores-fp32",
        "mixed-fp32-st",
        "mixed-fp32-flag",
        "mixed-fp32-openvino",
        "mixed-bf16-st",
        "mixed-bf16-openvino",
        "bf16-overlap",
        "mixed-int8-fp32",
        "mixed-int8-onnx",
        "mixed-int8-openvino",
    },
    "fixed": {"fixed-fp32", "fixed-bf16"},
    "sweep": {"one-onnx", "thousand-openvino"},
    "xlmr-base": {"xlmr-ceiling-fp32", "xlmr-ceiling-bf16"},
    "bert-base": {"bert-ceiling-fp32", "bert-ceiling-bf16"},
    "large": set(),
    "profile": set(),
    "callers": {"threads-bulk", "threads-st", "threads-scores"},
    "single": {"single-overhead"},
    "alone": {"alone-onnx"},
    "memory": set(),
    "stream": {"stream-flat"},
    "llm": {"llm-few", "llm-many", "llm-scores"},
    "layerwise": {"layerwise"},
    "llm-memory": {"llm-memory", "llm-tensors"},
    "prefix": {"prefix", "prefix-scores"},
    "training": {"train-st", "train-flag"},
    "late-interaction": {
        "late-st",
        "late-llama",
        "late-scores",
        "late-kept-ms",
        "late-kept-st",
        "late-kept-overlap",
    },
    "cascade": {"cascade-speed", "cascade-ndcg"},
}
# Left out to save time: they run the code of cases that are here, or start a fresh Python for every system.
COVERED_BY_OTHERS = {"fixed", "sweep", "bert-base", "large", "alone", "memory", "stream"}


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Context:
    return Context(
        effort=TINY, root=tmp_path_factory.mktemp("benchmarks"), threads=torch.get_num_threads(), shapes=SHAPES
    )


def test_every_case_is_named_here() -> None:
    assert set(DECIDES) == set(CASES)


@pytest.mark.parametrize("name", [name for name in CASES if name not in COVERED_BY_OTHERS])
def test_case_measures_and_its_result_survives_the_file(name: str, context: Context, tmp_path: Path) -> None:
    result = CASES[name].run(context)
    assert {verdict.target for verdict in result.verdicts} == DECIDES[name]
    assert all(verdict.measured is not None or verdict.note for verdict in result.verdicts)
    assert all(missing.reason for missing in result.missing)
    for timing in result.timings:
        assert len(timing.seconds) >= 1
        assert min(timing.seconds) > 0
        if timing.dtype == "float32" and timing.difference is not None:
            assert timing.difference <= 1e-4, timing.system
    record = RunRecord(environment={}, options={}, cases=(result,))
    write_record(record, tmp_path / "run.json")
    assert read_record(tmp_path / "run.json") == record
