"""How far work on rows is, outside a terminal: lines now and then."""

from __future__ import annotations

import re

import pytest

from rerank_plugins.cli.progress import rows_progress, tasks_progress


def test_lines_outside_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with rows_progress(every_s=0.0) as on_row:
        on_row(1, 2_000)
        on_row(1_500, 2_000)
    lines = capsys.readouterr().err.splitlines()
    assert [re.sub(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ", "", line) for line in lines] == [
        "rows: 1 of 2,000",
        "rows: 1,500 of 2,000",
    ]


def test_pairs_whose_number_is_not_known(capsys: pytest.CaptureFixture[str]) -> None:
    with rows_progress("pairs", every_s=0.0) as on_pair:
        on_pair(12, None)
    assert capsys.readouterr().err.endswith(" pairs: 12\n")


def test_no_line_before_its_time(capsys: pytest.CaptureFixture[str]) -> None:
    with rows_progress(every_s=3_600.0) as on_row:
        on_row(1, 2)
        on_row(2, 2)
    printed = capsys.readouterr()
    assert (printed.err, printed.out) == ("", "")


def test_a_task_among_several_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with tasks_progress(every_s=0.0) as progress:
        done = progress.add_task("sample: first stages", total=1)
        progress.advance(done)
        progress.remove_task(done)
        progress.advance(progress.add_task("sample: reranking with mini", total=1_000), 12)
    lines = [line.split(" ", maxsplit=2)[2] for line in capsys.readouterr().err.splitlines()]
    assert lines == ["sample: first stages: 1 of 1", "sample: reranking with mini: 12 of 1,000"]
