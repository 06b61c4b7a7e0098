"""Rows of one query become one record, near each other or by way of the disk."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from rerank_plugins.training.data import ReadOptions, RecordError, TrainingRecord, open_records
from rerank_plugins.training.data.digests import DigestMap, digest

ROWS = [
    {"query": f"q{query}", "content": f"t{query}.{text}", "label": int(text == 0)}
    for query in range(40)
    for text in range(3)
]
EXPECTED = [
    TrainingRecord(f"q{query}", (f"t{query}.0",), (f"t{query}.1", f"t{query}.2"), (1.0,), (0.0, 0.0))
    for query in range(40)
]


def rows_file(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_rows_that_stand_together(tmp_path: Path) -> None:
    assert list(open_records(rows_file(tmp_path / "rows.jsonl", ROWS))) == EXPECTED


def test_rows_that_stand_apart_are_asked_about_or_put_together(tmp_path: Path) -> None:
    shuffled = ROWS.copy()
    random.Random(0).shuffle(shuffled)
    path = rows_file(tmp_path / "rows.jsonl", shuffled)
    with pytest.raises(RecordError, match=r"rows of this query stand at \d+ too.*data convert --regroup"):
        list(open_records(path))
    found = list(open_records(path, options=ReadOptions(regroup=True)))
    order = list(dict.fromkeys(row["query"] for row in shuffled))
    assert [one.query for one in found] == order, "in the order of their first rows"
    assert {one.query: (set(one.pos), set(one.neg)) for one in found} == {
        one.query: (set(one.pos), set(one.neg)) for one in EXPECTED
    }


def test_rows_of_any_format_are_put_together(tmp_path: Path) -> None:
    rows = [
        {"query": "a", "pos": ["1"], "neg": ["n"], "pos_ids": ["x"], "neg_ids": ["y"]},
        {"query": "b", "pos": ["2"]},
        {"query": "a", "pos": ["3"], "neg": ["n", "m"]},
        {"query": "a", "pos": ["4"], "prompt": "another task"},
    ]
    stream = open_records(rows_file(tmp_path / "rows.jsonl", rows), options=ReadOptions(regroup=True))
    assert list(stream) == [
        TrainingRecord("a", ("1", "3"), ("n", "m")),
        TrainingRecord("b", ("2",)),
        TrainingRecord("a", ("4",), prompt="another task"),
    ]
    assert stream.not_read == {
        "texts that a query's rows repeat, kept once": 1,
        "pos_ids of a query of which some rows have none": 1,
        "neg_ids of a query of which some rows have none": 1,
    }


def test_a_side_without_texts_gets_no_lists_that_no_row_has(tmp_path: Path) -> None:
    rows = [
        {"query": "a", "pos": ["1"], "neg": []},
        {"query": "a", "pos": ["2"], "neg": []},
        {"query": "b", "pos": ["1"], "neg": [], "pos_scores": [1.0], "neg_scores": []},
        {"query": "b", "pos": ["2"], "neg": [], "pos_scores": [2.0], "neg_scores": []},
    ]
    stream = open_records(rows_file(tmp_path / "rows.jsonl", rows), options=ReadOptions(regroup=True))
    assert list(stream) == [TrainingRecord("a", ("1", "2")), TrainingRecord("b", ("1", "2"), (), (1.0, 2.0), ())]


def test_scores_of_some_rows_only(tmp_path: Path) -> None:
    rows = [
        {"query": "a", "pos": ["1"], "pos_scores": [1.0]},
        {"query": "a", "pos": ["2"]},
        {"query": "b", "pos": ["1"], "pos_scores": [1.0]},
        {"query": "b", "neg": ["2"], "neg_scores": [0.5]},
    ]
    stream = open_records(rows_file(tmp_path / "rows.jsonl", rows), options=ReadOptions(regroup=True))
    bad, good = stream.items()
    assert bad.error is not None
    assert bad.error.fault == "score_count"
    assert str(bad.error).startswith(f"{tmp_path / 'rows.jsonl'}:1: some rows of this query have scores")
    assert good.record == TrainingRecord("b", ("1",), ("2",), (1.0,), (0.5,))


def test_bad_rows_go_through(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"query": "a", "content": "1", "label": 1}\nbroken\n{"query": "a", "content": "2", "label": 0}\n')
    items = list(open_records(path).items())
    assert sorted((item.number, item.record is None) for item in items) == [(1, False), (2, True)]
    assert [item.record for item in items if item.record] == [TrainingRecord("a", ("1",), ("2",), (1.0,), (0.0,))]


def test_a_digest_map_is_a_dict_of_first_values() -> None:
    drawn, found, expected = random.Random(1), DigestMap(), dict[int, int]()
    keys = [drawn.randrange(1, 1 << 64) for _ in range(20_000)]
    for value, key in enumerate(keys + keys[::3]):
        assert found.first(key, value) == expected.get(key)
        expected.setdefault(key, value)
    assert len(found) == len(expected)
    assert all(key in found for key in keys)
    assert drawn.randrange(1, 1 << 64) not in found


def test_digests_keep_texts_apart() -> None:
    assert digest(["ab", "c"]) != digest(["a", "bc"])
    assert digest(["a", "b"]) != digest(["b", "a"])
    assert digest(["\ud800"]) != digest(["\ud801"]), "half of a surrogate pair has a digest too"
    assert 0 < digest([]) < 1 << 64


def test_labels_and_scores_of_two_files_do_not_meet_in_one_row(tmp_path: Path) -> None:
    labels = rows_file(tmp_path / "labels.jsonl", [{"query": "b", "content": "x", "label": 1}])
    scores = rows_file(tmp_path / "scores.jsonl", [{"query": "b", "content": "z", "label": 0, "score": 7.5}])
    joined = open_records([labels, scores], options=ReadOptions(regroup=True, keep_labels=True))
    with pytest.raises(RecordError, match=r"those of 'score', and .*labels.jsonl:1 has those of 'label'"):
        list(joined)
    # Each by itself they are rows of their own.
    assert len(list(open_records([labels, scores], options=ReadOptions(keep_labels=True)))) == 2
