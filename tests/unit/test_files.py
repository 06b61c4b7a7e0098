from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rerank_plugins.errors import InvalidInputError
from rerank_plugins.files import LineFile, made_folder, write_atomically, write_with

FULL = Path("/dev/full")
LIMITED = """
import resource, signal, sys
from pathlib import Path
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.files import LineFile, write_atomically
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
