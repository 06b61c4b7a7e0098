from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from itertools import count
from pathlib import Path
from textwrap import dedent
from typing import cast

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from benchmarks import gpu, memory
from benchmarks.cases import CASES
from benchmarks.cases.base import fastest, median_of, score_difference
from benchmarks.cases.profile import shares
from benchmarks.child import growth_mb, numbered, tenths
from benchmarks.compare import largest_difference, mean_top_overlap, ratio, top_overlap
from benchmarks.environment import NO_BF16, describe
from benchmarks.memory import tensor_peak_mb
from benchmarks.results import CaseResult, Missing, RunRecord, Timing, read_record, write_record
from benchmarks.rounds import interleaved
from benchmarks.systems import base
from benchmarks.systems.base import CannotLoadError, OpenRequest, System, SystemSpec, import_peer, logit, open_or_reason
from benchmarks.systems.plain import PLAIN, budget_batches
from benchmarks.tables import in_words, milliseconds
from benchmarks.targets import TARGETS, judge


def timing(system: str, *seconds: float, dtype: str = "float32", difference: float | None = None) -> Timing:
    return Timing(system=system, dtype=dtype, seconds=seconds, difference=difference)


def test_rounds_are_interleaved_and_timed_by_the_clock() -> None:
    called: list[str] = []
    ticks = count(0.0, 2.0)
    tasks = {(name, "float32"): (lambda name=name: called.append(name)) for name in "abc"}
    seconds = interleaved(tasks, rounds=2, clock=lambda: next(ticks))
    assert called == list("abcabc")
    assert seconds == {(name, "float32"): (2.0, 2.0) for name in "abc"}


def test_settling_calls_of_a_turn_are_not_timed() -> None:
    called: list[str] = []
    ticks = count(0.0, 1.0)
    tasks = {(name, "float32"): (lambda name=name: called.append(name)) for name in "ab"}
    seconds = interleaved(tasks, rounds=2, turn=2, settling=1, clock=lambda: next(ticks))
    assert called == list("aaabbb" * 2)
    assert seconds == {(name, "float32"): (1.0,) * 4 for name in "ab"}


def test_median_is_not_moved_by_one_slow_round() -> None:
    assert timing("x", 1.0, 9.0, 2.0).median_s == 2.0


def test_ratio_needs_both() -> None:
    assert ratio(6.0, 2.0) == 3.0
    assert ratio(None, 2.0) is None
    assert ratio(6.0, None) is None


def test_overlap_by_hand() -> None:
    assert top_overlap([3.0, 2.0, 1.0, 0.0], [3.0, 0.0, 2.0, 1.0], n=2) == 0.5
    # Fewer than n: all are kept. The second query keeps one of its two.
    found = mean_top_overlap([1.0, 2.0, 1.0, 2.0, 3.0], [5.0, 4.0, 1.0, 2.0, 0.0], queries=list("aabbb"), n=2)
    assert found == pytest.approx((1.0 + 0.5) / 2)


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=40))
def test_equal_scores_overlap_wholly_and_differ_by_nothing(scores: list[float]) -> None:
    assert top_overlap(scores, scores) == 1.0
    assert largest_difference(scores, scores) == 0.0


def test_difference_refuses_lists_of_other_lengths() -> None:
    assert largest_difference([1.0, -2.0], [1.5, -1.0]) == 1.0
    with pytest.raises(ValueError, match="zip"):
        largest_difference([1.0], [1.0, 2.0])


def test_systems_are_found_by_name_and_precision() -> None:
    spec = SystemSpec(name="x", dtype="float32", open=PLAIN.open)
    timings = [timing("x", 4.0, difference=0.1), timing("y", 1.0), timing("z", 0.5, dtype="bfloat16")]
    assert median_of(timings, spec) == 4.0
    assert median_of(timings, PLAIN) is None
    assert score_difference(timings, spec) == 0.1
    assert score_difference(timings, PLAIN) is None
    best = fastest(timings, dtype="float32", but=spec)
    assert best is not None
    assert best.system == "y"
    assert fastest(timings[:1], dtype="float32", but=spec) is None


def test_targets_have_one_bound_and_verdicts_follow_it() -> None:
    assert all((one.least is None) != (one.most is None) for one in TARGETS.values())
    assert judge("mixed-fp32-st", 3.0).reached is True
    assert judge("mixed-fp32-st", 2.99).reached is False
    assert judge("single-overhead", 1.0).reached is True
    assert judge("single-overhead", 1.01).reached is False
    unknown = judge("llm-few", None, note="why")
    assert unknown.reached is None
    assert in_words(unknown) == "not measured"
    assert judge("llm-few", 2.0).text.endswith("≥ 2")


def test_a_record_survives_the_file(tmp_path: Path) -> None:
    case = CaseResult(
        case="mixed",
        title="t",
        facts={"pairs": 3, "workload": "w"},
        timings=(timing("x", 1.0, 3.0),),
        missing=(Missing(system="y", dtype="float32", reason="r"),),
        verdicts=(judge("mixed-fp32-st", 3.5),),
    )
    record = RunRecord(environment={"cpu": "c"}, options={"effort": "quick"}, cases=(case,))
    write_record(record, tmp_path / "new" / "run.json")
    assert read_record(tmp_path / "new" / "run.json") == record
    content = json.loads((tmp_path / "new" / "run.json").read_text(encoding="utf-8"))
    assert content["schema_version"] == 1
    assert content["cases"][0]["timings"][0]["median_s"] == 2.0
    assert content["cases"][0]["verdicts"][0]["reached"] is True
    (tmp_path / "old.json").write_text('{"schema_version": 0}', encoding="utf-8")
    with pytest.raises(ValueError, match="schema_version 0"):
        read_record(tmp_path / "old.json")


def test_environment_is_json_and_names_what_matters() -> None:
    found = json.loads(json.dumps(describe(threads=3)))
    assert found["threads"] == 3
    assert found["versions"]["torch"]
    assert {"cpu", "cores", "cpu_flags", "bf16_in_hardware", "commit", "date_utc", "load_average_1_5_15"} <= set(found)


def test_a_system_that_cannot_run_says_why(tmp_path: Path) -> None:
    def broken(_: OpenRequest) -> System:
        msg = "no\nsuch   file"
        raise OSError(msg)

    request = OpenRequest(
        folder=tmp_path, family=None, max_length=8, threads=1, device="cpu", scratch=tmp_path / "scratch"
    )
    said = open_or_reason(SystemSpec(name="x", dtype="float32", open=broken), request)
    assert said == "cannot load: OSError: no such file"
    with pytest.raises(CannotLoadError, match=r"not installed.*pip install it"):
        import_peer("a_module_that_nobody_has", install="pip install it")


@pytest.mark.parametrize(("has_own", "device"), [(False, "cpu"), (True, "cpu"), (False, "cuda")])
def test_a_precision_that_the_cpu_emulates_is_not_measured(
    has_own: bool, device: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "has_bf16", lambda: has_own)
    request = OpenRequest(folder=tmp_path, family=None, max_length=8, threads=1, device=device, scratch=tmp_path)
    system = cast("System", object())
    found = open_or_reason(SystemSpec(name="x", dtype="bfloat16", open=lambda _: system), request)
    assert found == (NO_BF16 if (has_own, device) == (False, "cpu") else system)


@given(st.lists(st.integers(1, 300), min_size=1, max_size=60))
def test_budget_batches_hold_every_input_once_within_the_budget(lengths: list[int]) -> None:
    batches = budget_batches(lengths, budget_tokens=256)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    assert all(max(lengths[i] for i in batch) * len(batch) <= 256 or len(batch) == 1 for batch in batches)


@given(st.floats(0.001, 0.999))
def test_logit_undoes_the_sigmoid(probability: float) -> None:
    from math import exp

    assert 1 / (1 + exp(-logit(probability))) == pytest.approx(probability)


def test_growth_counts_from_the_end_of_the_first_tenth() -> None:
    samples = [(index, 100.0 + (50.0 if index < 2 else 0.0)) for index in range(20)]
    samples[1] = (1, 120.0)
    samples[15] = (15, 127.0)
    assert growth_mb(samples) == 7.0
    assert growth_mb([(1, 5.0)]) == 0.0


def test_tenths_show_the_course_of_memory() -> None:
    assert tenths([(index, float(index)) for index in range(1, 21)]) == "2, 4, 6, 8, 10, 12, 14, 16, 18, 20"
    assert tenths([(1, 7.0)]) == "7"


def test_peak_follows_what_is_allocated() -> None:
    if not memory.reset_peak():
        pytest.skip("the peak can be reset on Linux only")
    # A process of its own: this one may have room enough that other tests gave back.
    code = """
        from benchmarks import memory
        memory.reset_peak()
        before = memory.peak_mb()
        block = bytearray(64 * 2**20)
        block[:: 2**12] = b"x" * len(block[:: 2**12])
        print(memory.peak_mb() - before, memory.resident_mb() <= memory.peak_mb())
    """
    command = [sys.executable, "-c", dedent(code)]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True)
    grown_mb, is_within = done.stdout.split()
    assert float(grown_mb) > 48
    assert is_within == "True"


def test_a_child_that_fails_is_an_error_with_its_last_words() -> None:
    with pytest.raises(memory.ChildFailedError, match="KeyError"):
        memory.in_child("no-such-job", {"request": {"threads": 1}}, threads=1)


def test_milliseconds_keep_three_digits() -> None:
    assert [milliseconds(value) for value in (0.00123, 0.0456, 12.3456)] == ["1.23", "45.6", "12,346"]


def test_case_names_are_their_keys() -> None:
    assert all(case.name == name for name, case in CASES.items())


def test_gpu_suite_says_plainly_that_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    import typer

    monkeypatch.setattr(gpu.torch.cuda, "is_available", lambda: False)
    application = typer.Typer()
    application.command()(gpu.main)
    result = CliRunner().invoke(application, [])
    assert result.exit_code == 2
    assert "no CUDA device" in result.output


def test_peak_of_tensors_counts_what_lives_at_the_same_time() -> None:
    def task() -> None:
        first = torch.ones(2**18)  # one MB
        second = first + 1.0
        del first
        third = second * 2.0
        del second, third

    assert 2.0 <= tensor_peak_mb(task) < 2.5


def test_shares_by_hand() -> None:
    spent = {"mkldnn::_linear_pointwise": 6.0, "aten::addmm": 1.0, "aten::native_layer_norm": 1.0, "aten::gelu": 2.0}
    found = shares(spent)
    assert (found["products"], found["layer norms"], found["the rest"]) == (70.0, 10.0, 20.0)
    assert sum(found.values()) == pytest.approx(100.0)
    assert set(shares({}).values()) == {0.0}


def test_streamed_pairs_differ_and_keep_their_length() -> None:
    pairs = list(numbered([("q", "a"), ("q", "b")], 20_000))
    assert len(set(pairs)) == 20_000
    assert {len(document) for _, document in pairs} == {9}
    # As many begin with each digit in the first half as in the second.
    halves = [Counter(document[2] for _, document in half) for half in (pairs[:10_000], pairs[10_000:])]
    assert all(abs(halves[0][digit] - halves[1][digit]) <= 10 for digit in "0123456789")
