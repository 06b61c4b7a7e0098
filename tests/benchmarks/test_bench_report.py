from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.report import markdown, plot_request, plot_targets
from benchmarks.results import CaseResult, Missing, RunRecord, Timing
from benchmarks.targets import judge


@pytest.fixture
def record() -> RunRecord:
    case = CaseResult(
        case="mixed",
        title="MiniLM-L6, 1 x 100 mixed",
        timings=(
            Timing(system="rerank_plugins", dtype="float32", seconds=(0.5, 0.7, 0.6), difference=7e-7),
            Timing(system="a|peer", dtype="float32", seconds=(2.0,)),
        ),
        missing=(Missing(system="gone", dtype="float32", reason="not installed"),),
        verdicts=(judge("mixed-fp32-st", 3.456), judge("llm-few", None, note="why")),
    )
    environment = {
        "cpu": "A CPU",
        "threads": 2,
        "bf16_in_hardware": False,
        "gpu": None,
        "versions": {"torch": "2.13.0", "openvino": None},
        "commit": "0123456789abcdef",
        "uncommitted_changes": True,
        "date_utc": "2026-01-02 03:04:05",
        "load_average_1_5_15": [0.1, 0.2, 0.3],
    }
    return RunRecord(environment=environment, options={"effort": "usual"}, cases=(case,))


def test_markdown_holds_the_targets_the_systems_and_what_is_missing(record: RunRecord) -> None:
    text = markdown(record)
    assert "A CPU, 2 threads, no bf16 instructions; commit 0123456789ab with uncommitted changes" in text
    assert "torch 2.13.0" in text
    assert "openvino" not in text
    assert "| 3.46 | reached |" in text
    assert "|  | not measured (why) |" in text
    # The slowest first; a bar in a name does not break the table.
    assert text.index("| a\\|peer | float32 | 2,000 |") < text.index("| **rerank_plugins** | float32 | 600 | 7e-07 |")
    assert "gone (float32): not installed." in text


def test_every_table_row_has_as_many_cells_as_its_header(record: RunRecord) -> None:
    blocks = [block for block in markdown(record).split("\n\n") if block.startswith("| ")]
    assert len(blocks) == 2
    for block in blocks:
        assert len({line.replace("\\|", "").count("|") for line in block.strip().splitlines()}) == 1


def test_plots_are_written(record: RunRecord, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    plot_request(record.cases[0], tmp_path / "images" / "request.png")
    plot_targets(record.verdicts, {"mixed-fp32-st": 3.0}, tmp_path / "images" / "targets.png")
    for name in ("request.png", "targets.png"):
        assert (tmp_path / "images" / name).read_bytes().startswith(b"\x89PNG")


def test_nothing_is_drawn_where_nothing_was_measured(tmp_path: Path) -> None:
    plot_targets([judge("llm-few", None)], {"llm-few": 2.0}, tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()
