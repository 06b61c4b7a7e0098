"""The one row: what it takes, what it refuses, and that it comes back as it was."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rerank_plugins.errors import InvalidInputError
from rerank_plugins.training.data import RecordError, TrainingRecord, read_records

TEXT = st.text(max_size=12)
SCORE = st.floats(allow_nan=False, allow_infinity=False, width=32)


@st.composite
def records(draw: st.DrawFn) -> TrainingRecord:
    pos, neg = draw(st.lists(TEXT, max_size=3)), draw(st.lists(TEXT, max_size=3))

    def beside(values: st.SearchStrategy[Any], texts: list[str]) -> Any:
        return draw(st.none() | st.tuples(*[values] * len(texts)))

    optional = st.none() | TEXT
    return TrainingRecord(
        query=draw(TEXT),
        pos=tuple(pos),
        neg=tuple(neg),
        pos_scores=beside(SCORE, pos),
        neg_scores=beside(SCORE, neg),
        prompt=draw(optional),
        type=draw(optional),
        query_id=draw(optional),
        pos_ids=beside(TEXT, pos),
        neg_ids=beside(TEXT, neg),
        query_prompt=draw(optional),
        passage_prompt=draw(optional),
        answers=draw(st.none() | st.lists(TEXT, max_size=2).map(tuple)),
    )


@settings(derandomize=True, deadline=None)
@given(record=records())
def test_a_record_comes_back_through_json(record: TrainingRecord) -> None:
    assert TrainingRecord.from_mapping(json.loads(json.dumps(record.to_mapping()))) == record


def test_a_row_of_flagembedding() -> None:
    row = {
        "query": "q",
        "pos": ["a"],
        "neg": ["b", "c"],
        "pos_scores": [1],
        "neg_scores": [0.5, -2.0],
        "prompt": "Given a query A and a passage B, ...",
        "type": "normal",
        "query_prompt": "A: ",
        "passage_prompt": "B: ",
    }
    record = TrainingRecord.from_mapping(row)
    assert record.pos_scores == (1,)
    assert record.neg_scores == (0.5, -2.0)
    assert (record.prompt, record.type, record.query_prompt, record.passage_prompt) == tuple(
        row[key] for key in ("prompt", "type", "query_prompt", "passage_prompt")
    )


def test_a_row_of_llm_embedder() -> None:
    row = {
        "query": "q",
        "query_id": 1185869,
        "pos": ["a"],
        "neg": ["b", "c"],
        "pos_index": [7],
        "neg_index": [8, 9],
        "teacher_scores": [-3.1, -1.2, -2.9],
        "answers": ["x"],
        "task": "qa",
    }
    record = TrainingRecord.from_mapping(row)
    assert (record.pos_scores, record.neg_scores) == ((-3.1,), (-1.2, -2.9))
    assert (record.query_id, record.pos_ids, record.neg_ids) == ("1185869", ("7",), ("8", "9"))
    assert record.answers == ("x",)


def test_null_is_nothing() -> None:
    assert TrainingRecord.from_mapping({"query": "q", "neg": None, "pos_scores": None}) == TrainingRecord("q")


@pytest.mark.parametrize(
    ("row", "fault", "message"),
    [
        ({"pos": ["a"]}, "malformed", "'query' is missing"),
        ({"query": None}, "malformed", "'query' is missing"),
        ({"query": 1}, "malformed", "'query' must be a text, got 1"),
        ({"query": "q", "pos": "abc"}, "malformed", "'pos' must be a list, got 'abc'"),
        ({"query": "q", "pos": ["a", None]}, "malformed", r"pos\[1\] must be a text"),
        ({"query": "q", "neg": [["a"]]}, "malformed", r"neg\[0\] must be a text"),
        ({"query": "q", "pos": ["a"], "pos_scores": [float("nan")]}, "score_not_finite", r"pos_scores\[0\] is nan"),
        ({"query": "q", "neg": ["a"], "neg_scores": [float("inf")]}, "score_not_finite", "is inf"),
        ({"query": "q", "neg": ["a"], "neg_scores": [-3.5e38]}, "score_not_finite", r"is -3\.5e\+38"),
        ({"query": "q", "pos": ["a"], "pos_scores": [1, 2]}, "score_count", "2 scores for 1 texts"),
        ({"query": "q", "pos": ["a"], "pos_scores": ["1"]}, "malformed", r"pos_scores\[0\] must be a number"),
        ({"query": "q", "pos": ["a"], "pos_scores": [True]}, "malformed", "must be a number, got True"),
        ({"query": "q", "pos": ["a"], "pos_ids": ["x", "y"]}, "id_count", "2 ids for 1 texts"),
        ({"query": "q", "pos": ["a"], "teacher_scores": [1, 2]}, "score_count", "2 scores for 1 pos and 0 neg"),
        ({"query": "q", "pos": ["a"], "teacher_scores": [1], "pos_scores": [1]}, "malformed", "both hold scores"),
        ({"query": "q", "pos": ["a"], "teacher_scores": 1}, "malformed", "one list of numbers"),
        ({"query": "q", "poss": ["a"]}, "misspelt_key", "no key 'poss'; did you mean 'pos'"),
        ({"query": "q", "Neg": ["a"]}, "misspelt_key", "did you mean 'neg'"),
        ({"query": "q", "pos": ["a"], "pos_ids": [1], "pos_index": [2]}, "malformed", "'pos_ids' and its other name"),
        ({"query": "q", "pos_score": [1]}, "misspelt_key", "did you mean 'pos_scores'"),
        ({"query": "q", "query_id": 1.5}, "malformed", "'query_id' must be a text"),
    ],
)
def test_what_is_no_record_says_why_and_where(row: dict[str, Any], fault: str, message: str) -> None:
    with pytest.raises(RecordError, match=rf"^train\.jsonl:7: .*{message}") as caught:
        TrainingRecord.from_mapping(row, where="train.jsonl:7")
    assert caught.value.fault == fault


def test_the_constructor_checks_too() -> None:
    with pytest.raises(RecordError, match="'pos' must be a list"):
        TrainingRecord("q", pos="abc")  # type: ignore[arg-type]
    with pytest.raises(RecordError, match="'neg' must be a list, got None"):
        TrainingRecord("q", neg=None)  # type: ignore[arg-type]


def test_keys_of_other_trainers_are_no_misspellings() -> None:
    row = {"query": "q", "category": "x", "batch_size": 2, "train_group_size": 3, "id": 1, "my_notes": "y"}
    assert TrainingRecord.from_mapping(row) == TrainingRecord("q")


def write(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_files_folders_and_gzip_in_order(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    write(folder / "b.jsonl", {"query": "2"})
    write(folder / "a.json", {"query": "1"})
    (folder / "notes.txt").write_text("not data")
    packed = tmp_path / "c.jsonl.gz"
    packed.write_bytes(gzip.compress(b'\xef\xbb\xbf{"query": "3"}\r\n\n  \n{"query": "\xc3\xa9 \xe2\x80\xa8 x"}'))
    assert [one.query for one in read_records([folder, packed])] == ["1", "2", "3", "\u00e9 \u2028 x"]


def test_an_error_names_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"query": "q"}\n\n{"query": "q"\n')
    with pytest.raises(RecordError, match=r"rows\.jsonl:3: not JSON") as caught:
        list(read_records(path))
    assert caught.value.fault == "not_json"


def test_rows_before_an_error_are_read(tmp_path: Path) -> None:
    rows = read_records(write(tmp_path / "rows.jsonl", {"query": "first"}, [1]))
    assert next(rows).query == "first"
    with pytest.raises(RecordError, match=":2: expected a JSON object"):
        next(rows)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b'{"query": "\xff"}', r"not be read as UTF-8 text \(line 1, byte 11\)"), (b"\x1f\x8b\x08\x00cut", "cut off")],
)
def test_bytes_that_are_no_text(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(content)
    with pytest.raises(InvalidInputError, match=message):
        list(read_records(path))


def test_paths_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="is not there"):
        list(read_records(tmp_path / "absent.jsonl"))
    with pytest.raises(InvalidInputError, match=r"no file that ends with \.jsonl"):
        list(read_records(tmp_path))
    with pytest.raises(InvalidInputError, match="at least one file"):
        list(read_records([]))


def test_a_key_that_stands_twice_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"query": "q", "pos": ["a"], "pos": ["b"]}\n')
    with pytest.raises(RecordError, match=r"rows\.jsonl:1: not JSON \(the key 'pos' stands twice") as caught:
        list(read_records(tmp_path / "rows.jsonl"))
    assert caught.value.fault == "not_json"
