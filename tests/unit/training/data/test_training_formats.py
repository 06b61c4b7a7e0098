"""Rows in the peers' own shapes: how they are told, what they become, and what comes back."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from rerank_plugins.errors import InvalidInputError
from rerank_plugins.training.data import (
    ReadOptions,
    RecordError,
    TrainingRecord,
    WriteOptions,
    check_data,
    open_records,
)
from rerank_plugins.training.data import write_records as write_data
from rerank_plugins.training.data.detection import FORMAT_NAMES, format_titles
from rerank_plugins.training.data.formats import ROW_FORMATS, RowOptions

ROWS: list[tuple[str, dict[str, Any], TrainingRecord]] = [
    # examples/finetune/reranker/example_data/normal/examples.jsonl
    (
        "records",
        {"query": "q", "pos": ["p"], "neg": ["n", "m"], "pos_scores": [96.6875], "neg_scores": [90.5, 89.0]},
        TrainingRecord("q", ("p",), ("n", "m"), (96.6875,), (90.5, 89.0)),
    ),
    # research/old-examples/reranker/toy_finetune_data.jsonl
    ("records", {"query": "q", "pos": ["p"], "neg": ["n"]}, TrainingRecord("q", ("p",), ("n",))),
    # example_data/pointwise_reranker_train_data.jsonl
    (
        "rag-retrieval-pointwise",
        {"query": "q", "content": "p", "label": 2},
        TrainingRecord("q", ("p",), (), (2.0,), ()),
    ),
    # example_data/t2rank_100.distill.jsonl
    (
        "rag-retrieval-pointwise",
        {"query": "q", "content": "n", "score": 0.033},
        TrainingRecord("q", (), ("n",), (), (0.033,)),
    ),
    # example_data/grouped_reranker_eval_data.jsonl
    (
        "rag-retrieval-grouped",
        {"query": "q", "hits": [{"content": "n", "label": 0}, {"content": "p", "label": 1}]},
        TrainingRecord("q", ("p",), ("n",), (1.0,), (0.0,)),
    ),
    # rag_retrieval/train/embedding/README.md, the third form
    (
        "rag-retrieval-embedding",
        {"query": "q", "pos": ["p", "r"], "scores": [0.9, 0.1], "prompt_for_query": "Instruct: x\nQuery: "},
        TrainingRecord("q", ("p", "r"), (), (0.9, 0.1), prompt="Instruct: x\nQuery: "),
    ),
    # BCEmbedding/evaluation/c_mteb/Reranking.py
    (
        "bcembedding",
        {"query": "q", "positive": ["p"], "negative": ["n", "m"]},
        TrainingRecord("q", ("p",), ("n", "m")),
    ),
    ("evaluation", {"query": "q", "qrels": {"p": 2, "n": 0, "r": 1}}, TrainingRecord("q", ("p", "r"), ("n",))),
]


def rows_file(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def read(path: Path, name: str | None = None, **options: Any) -> list[TrainingRecord]:
    return list(open_records(path, format_name=name, options=ReadOptions(**options)))


@pytest.mark.parametrize(("name", "row", "expected"), ROWS)
def test_a_row_is_told_and_read(tmp_path: Path, name: str, row: dict[str, Any], expected: TrainingRecord) -> None:
    stream = open_records(rows_file(tmp_path / "rows.jsonl", row))
    assert list(stream.formats.values()) == [name]
    assert list(stream) == [expected]
    has_grades = any(grade not in (0, 1) for grade in row.get("qrels", {}).values())
    assert [one.partition(",")[0] for one in stream.not_read] == ["judgements other than 1 and 0"] * has_grades


def test_every_format_has_a_title() -> None:
    assert list(format_titles()) == list(FORMAT_NAMES)
    assert all(format_titles().values())


TEXT = st.text(max_size=8)


@st.composite
def scored_records(draw: st.DrawFn) -> TrainingRecord:
    texts = draw(st.lists(TEXT, min_size=1, max_size=5, unique=True))
    n_positives = draw(st.integers(0, len(texts)))
    scores = draw(st.lists(st.floats(-9, 9), min_size=len(texts), max_size=len(texts)))
    has_scores = draw(st.booleans())
    return TrainingRecord(
        draw(TEXT),
        tuple(texts[:n_positives]),
        tuple(texts[n_positives:]),
        tuple(scores[:n_positives]) if has_scores else None,
        tuple(scores[n_positives:]) if has_scores else None,
        prompt=draw(st.none() | TEXT.filter(bool)),
        type=draw(st.none() | st.just("normal")),
        query_id=draw(st.none() | st.just("q1")),
    )


TEXT_FORMATS = [name for name, known in ROW_FORMATS.items() if not known.needs_tokenizer]


@settings(derandomize=True, deadline=None)
@given(record=scored_records(), name=st.sampled_from(TEXT_FORMATS))
def test_texts_come_back_from_every_format(record: TrainingRecord, name: str) -> None:
    rows = json.loads(json.dumps(ROW_FORMATS[name].write(record, RowOptions())))
    parts = [ROW_FORMATS[name].read(row, RowOptions()) for row in rows]
    assert [text for part in parts for text in part.pos] == list(record.pos)
    assert [text for part in parts for text in part.neg] == list(record.neg)
    assert {part.query for part in parts} == {record.query}


@settings(derandomize=True, deadline=None)
@given(record=scored_records(), name=st.sampled_from(["records", "flagembedding", "flagembedding-old"]))
def test_a_record_comes_back_but_for_what_is_told(record: TrainingRecord, name: str) -> None:
    known = ROW_FORMATS[name]
    (row,) = known.write(record, RowOptions())
    lost = known.lost(record, RowOptions())
    assert known.read(json.loads(json.dumps(row)), RowOptions()) == replace(record, **dict.fromkeys(lost))
    assert set(lost) == {field for field in ("type", "query_id") if getattr(record, field) is not None} - known.holds


@settings(derandomize=True, deadline=None)
@given(record=scored_records())
def test_grouped_rows_keep_scores(record: TrainingRecord) -> None:
    known = ROW_FORMATS["rag-retrieval-grouped"]
    (row,) = known.write(record, RowOptions())
    options = RowOptions(keep_labels=record.pos_scores is not None)
    expected = replace(record, prompt=None, type=None, query_id=None)
    assert known.read(json.loads(json.dumps(row)), options) == expected


@pytest.mark.parametrize("name", ["rag-retrieval-pointwise", "rag-retrieval-grouped"])
def test_labels_and_scores_of_rag_retrieval_come_back(tmp_path: Path, name: str) -> None:
    record = TrainingRecord("q", ("p", "r"), ("n",), (3.5, -1.0), (-2.5,))
    path = tmp_path / "rows.jsonl"
    written = write_data([record], path, options=WriteOptions(format_name=name))
    assert (written.n_records, written.lost) == (1, {})
    assert read(path) == [record]


@pytest.mark.parametrize("name", ["rag-retrieval-pointwise", "rag-retrieval-grouped"])
def test_scores_of_one_side_are_told_and_not_mixed_with_labels(tmp_path: Path, name: str) -> None:
    record, path = TrainingRecord("q", ("p",), ("n",), pos_scores=(-3.5,)), tmp_path / "rows.jsonl"
    assert write_data([record], path, options=WriteOptions(format_name=name)).lost == {"pos_scores": 1}
    assert read(path) == [TrainingRecord("q", ("p",), ("n",), (1.0,), (0.0,))]


@pytest.mark.parametrize(
    ("rows", "line", "before"),
    [
        ([{"query": "q", "content": "p", "label": 1, "score": 7.5}, {"query": "q", "content": "n", "label": 0}], 2, 1),
        ([{"query": "q", "content": "p", "label": 1}, {"query": "r", "content": "n", "score": 0.2}], 2, 1),
        (
            [
                {"query": "q", "hits": [{"content": "p", "label": 1}]},
                {"query": "r", "hits": [{"content": "p", "label": 1, "score": 7.5}]},
            ],
            2,
            1,
        ),
        ([{"query": "q", "hits": [{"content": "p", "label": 1}, {"content": "n", "score": 0.2}]}], 1, 1),
    ],
    ids=["one query", "two queries", "hits of two queries", "hits of one query"],
)
def test_scores_among_labels_are_refused_with_the_place(
    tmp_path: Path, rows: list[dict[str, Any]], line: int, before: int
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    with pytest.raises(RecordError, match=f"rows.jsonl:{line}: .*rows.jsonl:{before} has.*another scale") as raised:
        list(open_records(path))
    assert raised.value.fault == "score_count"
    (found,) = [one for one in check_data(path).errors if one.kind == "score_count"]
    assert found.count == 1
    assert found.examples[0].startswith(f"{path}:{line}:")
    # Labels that are not kept as scores mix with none; texts of one query must agree all the same.
    if {row["query"] for row in rows} == {"q", "r"}:
        assert len(list(open_records(path, options=ReadOptions(keep_labels=False)))) == 2


def test_labels_with_steps_are_kept_and_the_side_is_chosen(tmp_path: Path) -> None:
    hits = [{"content": f"t{label}", "label": label} for label in (-1, -2, -3)]
    path = rows_file(tmp_path / "rows.jsonl", {"query": "q", "hits": hits})
    assert read(path) == [TrainingRecord("q", (), ("t-1", "t-2", "t-3"), (), (-1.0, -2.0, -3.0))]
    assert read(path, positive_from=-1) == [TrainingRecord("q", ("t-1",), ("t-2", "t-3"), (-1.0,), (-2.0, -3.0))]
    assert read(path, positive_from=-2, keep_labels=False) == [TrainingRecord("q", ("t-1", "t-2"), ("t-3",))]


def test_another_key_of_labels(tmp_path: Path) -> None:
    path = rows_file(tmp_path / "rows.jsonl", {"query": "q", "content": "p", "grade": 1, "label": 0})
    assert read(path, label_key="grade") == [TrainingRecord("q", ("p",), (), (1.0,), ())]
    with pytest.raises(RecordError, match=r"rows\.jsonl:1: 'absent' .* must be a number, got None"):
        read(path, label_key="absent")


def test_judgements_keep_their_steps_when_asked(tmp_path: Path) -> None:
    path = rows_file(tmp_path / "rows.jsonl", {"query": "q", "qrels": {"p": 2, "n": 0}})
    assert read(path, keep_labels=True) == [TrainingRecord("q", ("p",), ("n",), (2.0,), (0.0,))]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"query": "q", "content": "p", "label": "1"}, "'label' must be a number, got '1'"),
        ({"query": "q", "content": "p"}, "'score' .*label_key, --label-key.* must be a number, got None"),
        ({"query": "q", "content": "p", "label": float("nan")}, "'label' is nan"),
        ({"query": "q", "content": "p", "label": 10**400}, "'label' is 1000"),
        ({"query": "q", "pos": ["p"], "pos_scores": [10**400]}, r"pos_scores\[0\] is 1000"),
        ({"query": "q", "content": None, "label": 1}, "'content' must be a text"),
        ({"query": "q", "hits": {"content": "p"}}, "'hits' must be a list"),
        ({"query": "q", "hits": ["p"]}, r"hits\[0\] must be an object"),
        ({"query": "q", "hits": [{"content": "p", "label": 1}, {"content": "n"}]}, r"hits\[1\]: 'score' .* must be"),
        (
            {"query": "q", "hits": [{"content": "p", "label": 1, "score": 3.5}, {"content": "n", "label": 0}]},
            "1 of 2 texts have a score; score them all",
        ),
        ({"query": "q", "pos": ["p"], "scores": [1, 2]}, "2 scores for 1 texts"),
        ({"query": "q", "pos": ["p"], "scores": [1], "pos_scores": [1]}, "mean the same"),
        ({"query": ["a", "b"], "positive": ["p"]}, "MTEB averages"),
        ({"query": "q", "positive": "p"}, "'positive' must be a list"),
        ({"query": "q", "qrels": ["p"]}, "'qrels' must be an object"),
        ({"query": "q", "qrels": {"p": "high"}}, "must be a number, got 'high'"),
        ({"query": "q", "qrels": {"p": float("inf")}}, "the relevance of 'p' is inf"),
    ],
)
def test_rows_that_are_wrong_say_where(tmp_path: Path, row: dict[str, Any], message: str) -> None:
    with pytest.raises(RecordError, match=rf"rows\.jsonl:1: .*{message}"):
        read(rows_file(tmp_path / "rows.jsonl", row))


WORDS = ["what", "is", "this", "a", "text", "[UNK]", "other"]


@pytest.fixture
def tokenizer(tmp_path: Path) -> Path:
    made = Tokenizer(WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="[UNK]"))
    made.pre_tokenizer = Whitespace()
    path = tmp_path / "tokenizer.json"
    made.save(str(path))
    return path


LUYUG_ROW = {
    "qry": {"qid": "1048585", "query": [0, 1, 2]},
    "pos": [{"pid": "7187158", "passage": [3, 4]}],
    "neg": [{"pid": "7187157", "passage": [6, 4]}],
}


def test_luyug_rows_are_decoded_and_encoded(tmp_path: Path, tokenizer: Path) -> None:
    path = rows_file(tmp_path / "rows.json", LUYUG_ROW)
    assert list(open_records(path, options=ReadOptions(tokenizer=tokenizer)).formats.values()) == ["luyug"]
    found = read(path, tokenizer=tokenizer)
    expected = TrainingRecord(
        "what is this", ("a text",), ("other text",), query_id="1048585", pos_ids=("7187158",), neg_ids=("7187157",)
    )
    assert found == [expected]
    back = tmp_path / "back.json"
    write_data(found, back, options=WriteOptions(format_name="luyug", tokenizer=tokenizer.parent))
    assert json.loads(back.read_text()) == LUYUG_ROW


def test_luyug_rows_need_the_tokenizer_that_made_them(tmp_path: Path, tokenizer: Path) -> None:
    with pytest.raises(InvalidInputError, match="token ids, and the texts can only be had back from the tokenizer"):
        read(rows_file(tmp_path / "rows.json", LUYUG_ROW))
    with pytest.raises(InvalidInputError, match="name the tokenizer that makes them"):
        write_data([TrainingRecord("q")], tmp_path / "out.json", options=WriteOptions(format_name="luyug"))
    for wrong in (999, -1, 2**40):
        row = {"qry": {"query": [0, wrong]}, "pos": [], "neg": []}
        with pytest.raises(RecordError, match=f"no token {wrong}: another one made these ids"):
            read(rows_file(tmp_path / "wrong.json", row), tokenizer=tokenizer)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"qry": {"qid": "1"}, "pos": [], "neg": []}, "expected an object with 'qid' and 'query'"),
        ({"qry": {"query": [0.5]}, "pos": [], "neg": []}, "expected a list of token ids"),
        ({"qry": {"query": [0]}, "pos": []}, "'neg' must be a list"),
    ],
)
def test_luyug_rows_that_are_wrong(tmp_path: Path, tokenizer: Path, row: dict[str, Any], message: str) -> None:
    with pytest.raises(RecordError, match=message):
        read(rows_file(tmp_path / "rows.json", row), tokenizer=tokenizer)


def test_luyug_rows_of_texts_need_none(tmp_path: Path) -> None:
    row = {"qry": {"query": "q"}, "pos": [{"passage": "p"}], "neg": []}
    assert read(rows_file(tmp_path / "rows.json", row)) == [TrainingRecord("q", ("p",))]
