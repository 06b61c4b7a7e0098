"""Files are cut into blocks that any process can read alone: every row is in exactly one, in order."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rerank_plugins.bulk.folders import input_files
from rerank_plugins.bulk.inputs import plan_blocks, read_block
from rerank_plugins.errors import InvalidInputError


@settings(derandomize=True, deadline=None, max_examples=60)
@given(
    rows=st.lists(st.dictionaries(st.just("text"), st.text(max_size=20), min_size=1), min_size=1, max_size=30),
    blanks=st.lists(st.sampled_from(["\n", "  \n", "\r\n"]), max_size=5),
    per_block=st.integers(1, 12),
    ends=st.booleans(),
)
def test_each_line_is_in_one_block(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, str]], blanks: list[str], per_block: int, ends: bool
) -> None:
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
    for place, blank in enumerate(blanks):
        lines.insert(place * 3 % (len(lines) + 1), blank)
    text = "".join(lines)
    file = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    file.write_bytes((text if ends else text.rstrip("\r\n ")).encode())
    blocks = plan_blocks([file], per_block)
    assert [row for block in blocks for row in read_block(block, ["text"])] == rows
    assert [block.n_rows for block in blocks[:-1]] == [per_block] * (len(blocks) - 1)
    assert [block.first_row for block in blocks] == list(range(0, len(rows), per_block))


@pytest.mark.parametrize("per_block", [1, 3, 4, 7, 100])
def test_blocks_of_parquet_cross_its_row_groups(tmp_path: Path, per_block: int) -> None:
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    rows = [{"text": f"t{number}", "id": number} for number in range(17)]
    parquet.write_table(arrow.Table.from_pylist(rows), tmp_path / "rows.parquet", row_group_size=4)
    blocks = plan_blocks([tmp_path / "rows.parquet"], per_block)
    assert [row for block in blocks for row in read_block(block, ["id", "text"])] == rows
    with pytest.raises(InvalidInputError, match="row 1: no 'query'"):
        read_block(blocks[0], ["query"])


def test_blocks_of_several_files_are_numbered_through(tmp_path: Path) -> None:
    for name in ("b", "a"):
        (tmp_path / f"{name}.jsonl").write_text('{"x": 1}\n' * 3)
    (tmp_path / "notes.txt").write_text("not a row")
    files = input_files([tmp_path])
    assert [file.name for file in files] == ["a.jsonl", "b.jsonl"]
    blocks = plan_blocks(files, 2)
    assert [(block.number, Path(block.path).name, block.n_rows) for block in blocks] == [
        (0, "a.jsonl", 2),
        (1, "a.jsonl", 1),
        (2, "b.jsonl", 2),
        (3, "b.jsonl", 1),
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"a": 1}\n{"a": 2\n', "row 2: not JSON"),
        (b'{"a": 1}\n[1]\n', "row 2: expected an object, got list"),
        (b'{"a": 1}\n{"b": 1}\n', r"row 2: no 'a'; it has \['b'\]"),
        (b'{"a": 1}\n{"a": "\xff"}\n', "row 2: not JSON in UTF-8"),
    ],
)
def test_a_row_that_is_none_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "rows.jsonl").write_bytes(content)
    (block,) = plan_blocks([tmp_path / "rows.jsonl"], 10)
    with pytest.raises(InvalidInputError, match=message) as caught:
        read_block(block, ["a"])
    assert str(caught.value).count("rows.jsonl") == 1


def test_files_of_other_editors_hold_the_same_rows(tmp_path: Path) -> None:
    """A byte order mark alone was a row that is no JSON."""
    mark, rows = b"\xef\xbb\xbf", [{"a": 1}, {"a": "\u2028\x85 b"}]
    lines = [json.dumps(row, ensure_ascii=False).encode() for row in rows]
    for number, content in enumerate(
        [
            b"\r\n".join(lines) + b"\r\n",
            mark + b"\n".join(lines),
            mark + b"\r\n" + lines[0] + b"\r\n\r\n" + mark + lines[1] + b"\r\n" + mark,
        ]
    ):
        file = tmp_path / f"{number}.jsonl"
        file.write_bytes(content)
        for per_block in (1, 2):
            blocks = plan_blocks([file], per_block)
            assert [row for block in blocks for row in read_block(block, ["a"])] == rows
    for number, content in enumerate([b"", mark, mark + b"\r\n", b"\n \n"]):
        file = tmp_path / f"empty-{number}.jsonl"
        file.write_bytes(content)
        assert plan_blocks([file], 1) == []


def test_a_column_that_is_there_twice(tmp_path: Path) -> None:
    """The last one was taken without a word."""
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    columns = [arrow.array([1]), arrow.array([2]), arrow.array([3])]
    parquet.write_table(arrow.Table.from_arrays(columns, names=["a", "b", "a"]), tmp_path / "rows.parquet")
    (block,) = plan_blocks([tmp_path / "rows.parquet"], 5)
    assert read_block(block, ["b"]) == [{"b": 2}]
    with pytest.raises(InvalidInputError, match=r"rows\.parquet: has 2 columns 'a'"):
        read_block(block, ["b", "a"])


def test_a_file_that_became_shorter(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('{"a": 1}\n' * 5)
    blocks = plan_blocks([file], 3)
    file.write_text('{"a": 1}\n' * 4)
    with pytest.raises(InvalidInputError, match="rows 4 to 5: only 1 rows are there"):
        read_block(blocks[1], ["a"])


def test_a_block_of_a_large_group_is_read_without_the_rest(tmp_path: Path) -> None:
    """Files of pyarrow hold a million rows in a group, of which each block would have read all."""
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    file = tmp_path / "large.parquet"
    parquet.write_table(arrow.table({"text": [f"{number} " * 100 for number in range(60_000)]}), file)
    blocks, pool = plan_blocks([file], 1_000), arrow.default_memory_pool()
    counted = arrow.proxy_memory_pool(pool)
    arrow.set_memory_pool(counted)
    try:
        rows = read_block(blocks[1], ("text",))
    finally:
        arrow.set_memory_pool(pool)
    assert [row["text"].split()[0] for row in rows] == [str(number) for number in range(1_000, 2_000)]
    assert counted.max_memory() < 15_000_000
