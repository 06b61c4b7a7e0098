from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from rerank_plugins.errors import InvalidInputError
from rerank_plugins.system.files import (
    LineFile,
    made_folder,
    scratch_folder,
    write_atomically,
    write_folder_with,
    write_new,
    write_with,
)

FULL = Path("/dev/full")
LIMITED = """
import resource, signal, sys
from pathlib import Path
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.system.files import LineFile, write_atomically
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_005, 20_005))
folder = Path(sys.argv[1])
try:
    write_atomically(folder / "whole", b"x" * 30_000)
except InvalidInputError as error:
    print(error)
try:
    with LineFile(folder / "lines") as lines:
        for number in range(10_000):
            lines.write(f"line {number:04d}")
except InvalidInputError as error:
    print(error)
"""


@pytest.mark.skipif(os.name == "nt", reason="limits of POSIX")
def test_no_room_leaves_whole_lines_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "whole").write_bytes(b"as before")
    command = [sys.executable, "-c", LIMITED, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.count("cannot be written (File too large)") == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lines", "whole"]
    assert (tmp_path / "whole").read_bytes() == b"as before"
    lines = (tmp_path / "lines").read_text().splitlines(keepends=True)
    assert lines == [f"line {number:04d}\n" for number in range(len(lines))]
    assert len(lines) == 2_000


@pytest.mark.skipif(not FULL.exists(), reason="Linux only")
def test_a_device_is_written_and_not_replaced() -> None:
    with pytest.raises(InvalidInputError, match="No space left"):
        write_atomically(FULL, b"x")
    write_atomically(Path(os.devnull), b"x")
    assert FULL.is_char_device()
    assert Path(os.devnull).is_char_device()


def test_a_file_where_a_folder_is_expected(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for act in (
        lambda: write_atomically(tmp_path / "file" / "a", b"x"),
        lambda: write_with(tmp_path / "file" / "a.png", lambda path: path.write_bytes(b"x")),
        lambda: made_folder(tmp_path / "file" / "a"),
        lambda: LineFile(tmp_path / "file" / "a"),
        lambda: write_atomically(tmp_path, b"x"),
        lambda: write_atomically(tmp_path / "a\0b", b"x"),
    ):
        with pytest.raises(InvalidInputError, match="cannot be"):
            act()
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_link_stays_a_link_and_the_mask_decides_who_reads(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "target")
    write_atomically(tmp_path / "link", b"x")
    assert (tmp_path / "link").is_symlink()
    (tmp_path / "plain").write_bytes(b"x")
    assert (tmp_path / "target").stat().st_mode == (tmp_path / "plain").stat().st_mode


STUCK = """
import sys, time
from pathlib import Path
from rerank_plugins.system import files
def stuck(path):
    path.write_bytes(b"half")
    print("inside", flush=True)
    time.sleep(600)
how, target = sys.argv[1], Path(sys.argv[2])
if how == "folder":
    with files.scratch_folder(target) as scratch:
        stuck(scratch / "new")
else:
    files.write_with(target, stuck)
"""
needs_locks = pytest.mark.skipif(os.name == "nt", reason="nothing is removed without POSIX locks")


@contextmanager
def stuck_writer(how: str, target: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that is in the middle of writing."""
    with subprocess.Popen(
        [sys.executable, "-c", STUCK, how, str(target)], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "inside\n"
            yield process
        finally:
            process.kill()


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.startswith(".writing-"))


@needs_locks
def test_what_a_killed_process_left_goes_when_the_file_is_written_again(tmp_path: Path) -> None:
    target = tmp_path / "results.json"
    with stuck_writer("file", target) as killed, stuck_writer("file", target) as living:
        left = left_in(tmp_path)
        assert len(left) == 2
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        assert left_in(tmp_path) == left
        write_atomically(tmp_path / "another.json", b"x")
        assert left_in(tmp_path) == left, "it is another file's"
        write_atomically(target, b"x")
        (kept,) = left_in(tmp_path)
        assert (tmp_path / kept).read_bytes() == b"half", "it is a living process's"
        living.kill()
        living.wait()
        write_with(target, lambda path: path.write_bytes(b"y"))
    assert left_in(tmp_path) == []
    assert target.read_bytes() == b"y"


@needs_locks
def test_what_a_killed_process_left_of_a_folder_goes_after_the_next_one_succeeded(tmp_path: Path) -> None:
    target = tmp_path / "retriever"
    with stuck_writer("folder", target) as killed, stuck_writer("folder", target):
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        with pytest.raises(RuntimeError), scratch_folder(target):
            raise RuntimeError
        assert len(left_in(tmp_path)) == 2, "it may hold the only copy of the folder as it was before"
        with scratch_folder(target) as scratch:
            (scratch / "new").mkdir()
            (scratch / "new").rename(target)
        (kept,) = left_in(tmp_path)
        assert (tmp_path / kept / "new").read_bytes() == b"half", "it is a living process's"


def test_threads_that_write_one_file_take_nothing_from_each_other(tmp_path: Path) -> None:
    contents = [bytes([65 + number]) * 5_000 for number in range(8)]

    def write(data: bytes) -> None:
        for _ in range(25):
            write_atomically(tmp_path / "file", data)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, contents))
    assert (tmp_path / "file").read_bytes() in contents
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("links", [True, False], ids=["links", "no links"])
def test_of_those_that_write_a_new_file_one_succeeds(
    tmp_path: Path, links: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not links:

        def refused(*_: object) -> None:
            raise PermissionError

        monkeypatch.setattr(os, "link", refused)
    contents = [bytes([65 + number]) * 5_000 for number in range(16)]
    with ThreadPoolExecutor(16 if links else 1) as pool:
        wrote = list(pool.map(lambda data: write_new(tmp_path / "folder" / "file", data), contents))
    assert wrote.count(True) == 1
    assert (tmp_path / "folder" / "file").read_bytes() == contents[wrote.index(True)]
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["file"]
    (tmp_path / "plain").write_text("x")
    with pytest.raises(InvalidInputError, match="cannot be"):
        write_new(tmp_path / "plain" / "a", b"x")


def test_a_name_as_long_as_names_may_be(tmp_path: Path) -> None:
    write_atomically(tmp_path / ("n" * 255), b"x")
    assert [path.name for path in tmp_path.iterdir()] == ["n" * 255]


def test_a_link_stays_a_link_and_a_pipe_a_pipe(tmp_path: Path) -> None:
    target, link, pipe = tmp_path / "there", tmp_path / "link", tmp_path / "pipe"
    target.write_text("old")
    link.symlink_to(target)
    write_with(link, lambda path: path.write_text("new"))
    assert link.is_symlink()
    assert target.read_text() == "new"
    os.mkfifo(pipe)
    got: list[str] = []
    reader = threading.Thread(target=lambda: got.append(pipe.read_text()))
    reader.start()
    write_with(pipe, lambda path: path.write_text("through"))
    reader.join(timeout=20)
    assert got == ["through"]
    assert pipe.is_fifo()


@pytest.mark.skipif(os.name == "nt", reason="modes of POSIX")
def test_files_of_a_folder_have_the_mode_of_new_files(tmp_path: Path) -> None:
    def save(folder: Path) -> None:
        for name in ("own", "inner/own"):
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).touch(mode=0o600)

    plain = tmp_path / "plain"
    plain.touch()
    made = write_folder_with(tmp_path / "made", save)
    assert {one.stat().st_mode for one in made.rglob("own")} == {plain.stat().st_mode}
    assert sorted(one.name for one in made.iterdir()) == ["inner", "own"]
