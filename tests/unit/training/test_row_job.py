"""The output and journal of a long job: what is kept, cut off, and refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rerank_plugins.errors import InvalidInputError
from rerank_plugins.training.row_job import RowJob, journal_of

ASKED = {"command": "test", "options": {"a": 1, "b": [1, 2]}}


def test_blocks_are_added_up_over_runs(tmp_path: Path) -> None:
    output = tmp_path / "new" / "out.jsonl"
    with RowJob(output, ASKED) as job:
        job.append([b"1\n", b"2\n"], {"x": 2})
    with RowJob(output, ASKED) as job:
        assert (job.n_done, job.n_found, job.counts, job.is_finished) == (2, 2, {"x": 2}, False)
        job.append([b"3\n"], {"x": 1, "y": 1})
        job.finish()
    with RowJob(output, ASKED) as job:
        assert (job.n_done, job.counts, job.is_finished) == (3, {"x": 3, "y": 1}, True)
    assert output.read_bytes() == b"1\n2\n3\n"


@given(written=st.integers(0, 6), more=st.binary(max_size=20))
@settings(derandomize=True, deadline=None, max_examples=40)
def test_what_the_journal_does_not_know_is_cut_off(
    written: int, more: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    output = tmp_path_factory.mktemp("job") / "out.jsonl"
    whole = [f"{number}\n".encode() for number in range(8)]
    with RowJob(output, ASKED) as job:
        for line in whole[:written]:
            job.append([line])
    with output.open("ab") as file:
        file.write(more)
    with RowJob(output, ASKED) as job:
        assert job.n_done == written
        job.append(whole[job.n_done :])
    assert output.read_bytes() == b"".join(whole)


def test_rows_that_are_left_are_counted_and_settled_later(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    with RowJob(output, ASKED) as job:
        job.append([b"0\n", b"2\n"], {"x": 2}, left=[1])
        job.append([], left=[3, 4])
        assert (job.n_done, job.n_read, job.left) == (2, 5, [1, 3, 4])
    with output.open("ab") as file:
        file.write(b"of a settled row, before its journal")
    with RowJob(output, ASKED) as job:
        assert (job.n_done, job.n_found, job.n_read, job.left) == (2, 2, 5, [1, 3, 4])
        job.settle(3, b"3\n", {"x": 1})
        job.append([b"5\n"])
    assert json.loads(journal_of(output).read_text())["left"] == [1, 4]
    with RowJob(output, ASKED) as job:
        assert (job.n_done, job.n_read, job.counts) == (4, 6, {"x": 3})
        for number in (1, 4):
            job.settle(number, f"{number}\n".encode())
        job.finish()
    assert "left" not in json.loads(journal_of(output).read_text())
    assert output.read_bytes() == b"0\n2\n3\n5\n1\n4\n"
    with RowJob(output, ASKED, restart=True) as job:
        assert (job.n_read, job.left) == (0, [])


def test_an_output_that_lost_rows_is_refused(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    with RowJob(output, ASKED) as job:
        job.append([b"1\n", b"2\n"])
    output.write_bytes(b"1\n")
    with pytest.raises(InvalidInputError, match="has 2 bytes, and its journal says 4"):
        RowJob(output, ASKED)
    assert output.read_bytes() == b"1\n"
    with RowJob(output, ASKED, restart=True) as job:
        assert job.n_done == 0
    assert output.read_bytes() == b""


def test_every_difference_is_told(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    with RowJob(output, ASKED) as job:
        job.append([b"1\n"])
    other = {"command": "test", "options": {"a": 2, "b": [1, 3], "c": "new"}}
    told = r"\(options.a was 1, is 2; options.b\[1\] was 2, is 3; options.c was null, is \"new\"\)"
    with pytest.raises(InvalidInputError, match=told):
        RowJob(output, other)
    assert output.read_bytes() == b"1\n"


def test_two_processes_do_not_write_one_output(tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    output = tmp_path / "out.jsonl"
    with RowJob(output, ASKED) as job:
        job.append([b"1\n"])
        with pytest.raises(InvalidInputError, match="is being written by another process"):
            RowJob(output, ASKED)
        job.append([b"2\n"])
    assert output.read_bytes() == b"1\n2\n"
    assert json.loads(journal_of(output).read_text())["rows"] == 2


def test_an_output_that_was_deleted_is_begun_anew(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    with RowJob(output, ASKED) as job:
        job.append([b"1\n"])
    output.unlink()
    with RowJob(output, {"command": "another"}) as job:
        assert job.n_done == 0
