"""The format is told by the rows; what could be two is asked about."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from rerank_plugins.errors import InvalidInputError
from rerank_plugins.training.data import RecordError, TrainingRecord, open_records


def rows_file(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


POS_AND_CONTENT = {"query": "q", "pos": ["p"], "content": "c", "label": 1}


def test_a_row_that_could_be_two_is_settled_by_the_name(tmp_path: Path) -> None:
    path = rows_file(tmp_path / "rows.jsonl", POS_AND_CONTENT)
    with pytest.raises(
        InvalidInputError, match=r":1 could be a row of records or of rag-retrieval-pointwise.*--format"
    ):
        open_records(path)
    stream = open_records(path, format_name="records")
    assert list(stream) == [TrainingRecord("q", ("p",))]
    assert stream.not_read == {"key 'content', which is not read": 1, "key 'label', which is not read": 1}
    assert list(open_records(path, format_name="rag-retrieval-pointwise")) == [
        TrainingRecord("q", ("c",), (), (1.0,), ())
    ]


def test_rows_of_two_formats(tmp_path: Path) -> None:
    path = rows_file(tmp_path / "rows.jsonl", {"query": "q", "pos": ["p"]}, {"query": "q", "hits": []})
    with pytest.raises(InvalidInputError, match=r"rows of records \(line 1\) and rag-retrieval-grouped \(line 2\)"):
        open_records(path)


def test_a_row_of_another_format_far_down(tmp_path: Path) -> None:
    rows = [{"query": "q", "pos": ["p"]}] * 60
    path = rows_file(tmp_path / "rows.jsonl", *rows, {"query": "q", "content": "c", "label": 1})
    with pytest.raises(RecordError, match=r":61: a row of rag-retrieval-pointwise among rows of records"):
        list(open_records(path))


def test_files_of_several_formats_are_read_together(tmp_path: Path) -> None:
    first = rows_file(tmp_path / "a.jsonl", {"query": "1", "pos": ["p"]})
    second = rows_file(tmp_path / "b.jsonl", {"query": "2", "positive": ["p"], "negative": []})
    stream = open_records([first, second])
    assert list(stream.formats.values()) == ["records", "bcembedding"]
    assert [one.query for one in stream] == ["1", "2"]
    assert [one.query for one in stream] == ["1", "2"], "a stream can be read again"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("\n \n", "is empty"),
        ('[{"query": "q"}]', "jq -c"),
        ("no json\nat all", r":1: not JSON"),
        ('{"text": "a", "label": 1}', "the keys 'text', 'label' belong to no known format"),
        ("{}", "the keys none belong to no known format"),
    ],
)
def test_what_is_no_training_data(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(content)
    with pytest.raises(InvalidInputError, match=message):
        open_records(path)


def test_a_first_line_that_is_broken_does_not_hide_the_format(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"query": \n{"query": "q", "content": "c", "label": 1}\n')
    stream = open_records(path)
    assert list(stream.formats.values()) == ["rag-retrieval-pointwise"]
    assert [item.error is None for item in stream.items()] == [False, True]


def test_a_format_that_there_is_not(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="no format 'absent'; the formats: records, flagembedding"):
        open_records(rows_file(tmp_path / "rows.jsonl", {"query": "q"}), format_name="absent")


def test_what_can_be_read_once_needs_a_name(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(InvalidInputError, match=r"no regular file.*--format"):
        open_records(pipe)
    writer = threading.Thread(target=pipe.write_text, args=('{"query": "q", "pos": ["p"]}\n',))
    writer.start()
    assert list(open_records(pipe, format_name="records")) == [TrainingRecord("q", ("p",))]
    writer.join()


@pytest.mark.parametrize("line", ['{"query": ' + "1" * 5_000 + "}", "[" * 100_000])
def test_json_that_python_refuses(tmp_path: Path, line: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"query": "q", "pos": ["p"]}\n' + line)
    first, second = open_records(path).items()
    assert first.record is not None
    assert second.error is not None
    assert second.error.fault == "not_json"


def test_the_python_interface_is_there_and_light() -> None:
    names = ("check_data", "convert_data", "open_records", "read_records", "write_records", "TrainingRecord")
    code = (
        "import sys, rerank_plugins.training as training\n"
        f"print(*[getattr(training, name).__name__ for name in {names!r} if name in training.__all__])\n"
        "print(*[name for name in ('torch', 'transformers', 'accelerate') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == list(names)


def test_a_file_that_is_named_twice_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"query": "q", "pos": ["a"]}\n')
    with pytest.raises(InvalidInputError, match=r"rows\.jsonl' is named twice"):
        open_records([path, tmp_path])
