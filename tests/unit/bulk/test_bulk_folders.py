"""Folders stand for all files of the known formats in them: none is left out without a word, and none is read twice."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from rerank_plugins.bulk.folders import input_files
from rerank_plugins.bulk.inputs import plan_blocks, read_block
from rerank_plugins.errors import InvalidInputError


def write(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text('{"x": 1}\n')


def names_of(folder: Path, **options: Path) -> list[str]:
    return [file.relative_to(folder.resolve()).as_posix() for file in input_files([folder], **options)]


def test_files_of_subfolders_are_read_too(tmp_path: Path) -> None:
    """They were left out without a word where the folder itself held some."""
    write(
        tmp_path, "z.jsonl", "a.jsonl", "b/2024/a.jsonl", "b/2024/b.ndjson", "b/a.jsonl", "b-side/a.parquet", "B.JSONL"
    )
    write(tmp_path, "deep/" + "d/" * 300 + "a.jsonl", "notes.txt", "b/README.md", "rows.parquet/part-0.parquet")
    assert names_of(tmp_path) == [
        "B.JSONL",
        "a.jsonl",
        "z.jsonl",
        "b/a.jsonl",
        "b/2024/a.jsonl",
        "b/2024/b.ndjson",
        "b-side/a.parquet",
        "deep/" + "d/" * 300 + "a.jsonl",
        "rows.parquet/part-0.parquet",
    ]


def test_hidden_files_and_what_is_not_done_are_left_out(tmp_path: Path) -> None:
    write(
        tmp_path, "a.jsonl", "_b.jsonl", ".c.jsonl", ".git/a.jsonl", "_temporary/0/a.parquet", "_SUCCESS", "s/.d.jsonl"
    )
    assert names_of(tmp_path) == ["_b.jsonl", "a.jsonl"]
    # What is named is meant.
    assert input_files([tmp_path / ".c.jsonl"]) == [(tmp_path / ".c.jsonl").resolve()]
    assert names_of(tmp_path / ".git") == ["a.jsonl"]


@pytest.mark.parametrize("moved", [False, True])
def test_the_output_of_the_job_is_no_input_of_it(tmp_path: Path, moved: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "in/a.jsonl", "in/out/job.json")
    output, parts = tmp_path / "in" / "out", tmp_path / "in" / ("disk" if moved else "out/parts")
    write(parts, "part-00000000.jsonl")
    if moved:
        (output / "parts").symlink_to(parts)
    assert names_of(tmp_path / "in", output=output) == ["a.jsonl"]
    monkeypatch.chdir(tmp_path)
    assert names_of(tmp_path / "in", output=Path("in/../in/out")) == ["a.jsonl"]


def test_the_output_of_another_job_is_not_taken_for_rows(tmp_path: Path) -> None:
    write(tmp_path, "in/a.jsonl", "in/scores/job.json", "in/scores/parts/part-00000000.jsonl")
    with pytest.raises(InvalidInputError, match=r"in/scores' is the output of another job"):
        input_files([tmp_path / "in"])
    # Who names it means it.
    assert names_of(tmp_path / "in" / "scores") == ["parts/part-00000000.jsonl"]


def test_links_are_followed_and_nothing_is_read_twice(tmp_path: Path) -> None:
    write(tmp_path, "elsewhere/b.jsonl", "elsewhere/c.jsonl", "in/a.jsonl", "in/s/d.jsonl")
    (tmp_path / "in" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "in" / "s" / "up").symlink_to(tmp_path / "in")
    (tmp_path / "in" / "again").symlink_to("link")
    found = [file.relative_to(tmp_path.resolve()).as_posix() for file in input_files([tmp_path / "in"])]
    assert found == ["in/a.jsonl", "elsewhere/b.jsonl", "elsewhere/c.jsonl", "in/s/d.jsonl"]


def test_a_link_to_a_file_without_an_ending_keeps_its_format(tmp_path: Path) -> None:
    """As in the cache of the Hugging Face Hub; Parquet was read as lines."""
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    (tmp_path / "blobs").mkdir()
    (tmp_path / "snapshot" / "data").mkdir(parents=True)
    parquet.write_table(arrow.table({"x": ["a"]}), tmp_path / "blobs" / "6f1a")
    (tmp_path / "snapshot" / "data" / "rows.parquet").symlink_to("../../blobs/6f1a")
    (block,) = plan_blocks(input_files([tmp_path / "snapshot"]), 10)
    assert read_block(block, ["x"]) == [{"x": "a"}]


@pytest.mark.parametrize("kind", ["pipe", "broken link", "loop"])
def test_what_cannot_be_read_is_told(tmp_path: Path, kind: str) -> None:
    """A pipe was waited for, for ever; a loop of links was a RuntimeError."""
    write(tmp_path, "in/a.jsonl")
    path = tmp_path / "in" / "s" / "b.jsonl"
    path.parent.mkdir()
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("b.jsonl" if kind == "loop" else "absent.jsonl")
    with pytest.raises(InvalidInputError, match=r"b\.jsonl' is no file, but"):
        input_files([tmp_path / "in"])
    with pytest.raises(InvalidInputError, match="is not there"):
        input_files([path])


def test_a_folder_that_cannot_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "in/a.jsonl", "in/closed/b.jsonl")
    listed = Path.iterdir

    def iterdir(path: Path) -> Iterator[Path]:
        if path.name == "closed":  # whatever this user may read
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    with pytest.raises(InvalidInputError, match=r"in/closed' cannot be read \(Permission denied\)"):
        input_files([tmp_path / "in"])


def test_a_name_that_no_file_can_have() -> None:
    with pytest.raises(InvalidInputError, match="cannot be read"):
        input_files([Path("a" * 300 + ".jsonl")])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("rows.jsonl.gz", "unpack it"),
        ("absent.jsonl", "is not there"),
        ("empty", "no .jsonl, .ndjson or"),
    ],
)
def test_what_is_no_input(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidInputError, match=message):
        input_files([tmp_path / name])


@pytest.mark.parametrize("name", ["b.jsonl.gz", "s/b.jsonl.gz", "s/t/b.NDJSON.ZSTD", "b.parquet.zip"])
def test_a_compressed_file_in_a_folder_is_not_left_out(tmp_path: Path, name: str) -> None:
    write(tmp_path, "a.jsonl", "s/a.jsonl", "logs.tar.gz")
    assert names_of(tmp_path) == ["a.jsonl", "s/a.jsonl"]
    write(tmp_path, name)
    with pytest.raises(InvalidInputError, match=f"{name}.*unpack it"):
        input_files([tmp_path])


def test_a_file_that_is_named_twice(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('{"x": 1}\n')
    with pytest.raises(InvalidInputError, match="named twice"):
        input_files([tmp_path, tmp_path / ".." / tmp_path.name / "rows.jsonl"])
    write(tmp_path, "s/a.jsonl")
    with pytest.raises(InvalidInputError, match=r"s/a\.jsonl' is named twice.*in its subfolders"):
        input_files([tmp_path, tmp_path / "s"])
    (tmp_path / "linked.jsonl").symlink_to("rows.jsonl")
    with pytest.raises(InvalidInputError, match=r"rows\.jsonl' is named twice"):
        input_files([tmp_path])
