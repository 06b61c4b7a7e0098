"""Writing: whole or not at all, and what is lost is told."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from rerank_plugins.errors import InvalidInputError
from rerank_plugins.training.data import (
    ReadOptions,
    RecordError,
    TrainingRecord,
    WriteOptions,
    convert_data,
    open_records,
    read_records,
    write_records,
)

FULL = TrainingRecord(
    "q",
    ("p",),
    ("n",),
    (2.0,),
    (-1.0,),
    prompt="i",
    type="normal",
    query_id="1",
    pos_ids=("2",),
    neg_ids=("3",),
    query_prompt="A: ",
    passage_prompt="B: ",
    answers=("x",),
)


@pytest.mark.parametrize(
    ("name", "lost"),
    [
        ("records", set()),
        ("flagembedding", {"query_id", "pos_ids", "neg_ids", "answers"}),
        ("flagembedding-old", {"query_id", "pos_ids", "neg_ids", "answers", "type", "query_prompt", "passage_prompt"}),
        (
            "rag-retrieval-grouped",
            {"query_id", "pos_ids", "neg_ids", "answers", "type", "prompt", "query_prompt", "passage_prompt"},
        ),
        (
            "rag-retrieval-embedding",
            {"query_id", "pos_ids", "neg_ids", "answers", "type", "query_prompt", "passage_prompt", "pos_scores"}
            | {"neg_scores"},
        ),
        ("beir", {"pos_scores", "neg_scores", "prompt", "type", "query_prompt", "passage_prompt", "answers"}),
    ],
)
def test_what_a_format_cannot_hold_is_counted(tmp_path: Path, name: str, lost: set[str]) -> None:
    written = write_records([FULL, FULL], tmp_path / "out", options=WriteOptions(format_name=name))
    told = {what: count for what, count in written.lost.items() if not what.startswith("texts judged before")}
    assert told == dict.fromkeys(lost, 2)


def test_flagembedding_rows_have_its_keys_only(tmp_path: Path) -> None:
    write_records([FULL], tmp_path / "out", options=WriteOptions(format_name="flagembedding"))
    assert list(json.loads((tmp_path / "out").read_text())) == [
        "query",
        "pos",
        "neg",
        "pos_scores",
        "neg_scores",
        "prompt",
        "type",
        "query_prompt",
        "passage_prompt",
    ]


def test_rag_retrieval_takes_the_first_rows_keys(tmp_path: Path) -> None:
    records = [TrainingRecord("a", ("p",), ("n",)), TrainingRecord("b", ("p",)), TrainingRecord("c", ("p",), ("n",))]
    written = write_records(records, tmp_path / "out", options=WriteOptions(format_name="rag-retrieval-embedding"))
    assert written.lost == {"rows with other keys than the first, whose keys RAG-Retrieval takes for all": 1}


def test_a_query_without_texts_has_no_pair(tmp_path: Path) -> None:
    records = [TrainingRecord("a"), TrainingRecord("b", ("p",))]
    written = write_records(records, tmp_path / "out", options=WriteOptions(format_name="rag-retrieval-pointwise"))
    assert (written.n_records, written.n_rows) == (2, 1)
    assert written.lost == {"queries without a text, of which nothing is written": 1}


def test_a_text_that_is_both_counts_once_in_qrels(tmp_path: Path) -> None:
    record = TrainingRecord("a", ("p", "p"), ("n", "p"))
    written = write_records([record], tmp_path / "out", options=WriteOptions(format_name="evaluation"))
    assert json.loads((tmp_path / "out").read_text())["qrels"] == {"p": 1, "n": 0}
    assert written.lost == {"texts that stand twice in a row": 2}


def test_gzip_by_the_name_and_equal_bytes(tmp_path: Path) -> None:
    for name in ("a.jsonl.gz", "b.jsonl.gz"):
        write_records([FULL], tmp_path / name)
    assert (tmp_path / "a.jsonl.gz").read_bytes() == (tmp_path / "b.jsonl.gz").read_bytes()
    assert json.loads(gzip.decompress((tmp_path / "a.jsonl.gz").read_bytes())) == FULL.to_mapping()


def test_half_of_a_surrogate_pair_is_written_and_read(tmp_path: Path) -> None:
    record = TrainingRecord("\ud800 é")
    write_records([record], tmp_path / "out.jsonl")
    assert list(read_records(tmp_path / "out.jsonl")) == [record]


@pytest.mark.parametrize("name", ["records", "beir", "llamaindex"])
def test_what_is_there_is_kept_unless_asked(tmp_path: Path, name: str) -> None:
    output = tmp_path / "out"
    write_records([FULL], output, options=WriteOptions(format_name=name))
    with pytest.raises(InvalidInputError, match=r"is there already.*--overwrite"):
        write_records([], output, options=WriteOptions(format_name=name))
    again = write_records([], output, options=WriteOptions(format_name=name, overwrite=True))
    assert again.n_records == 0


def test_folders_of_somebody_else_are_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    for name in ("beir", "records"):
        with pytest.raises(InvalidInputError, match="it is not replaced"):
            write_records([FULL], tmp_path / "mine", options=WriteOptions(format_name=name, overwrite=True))
    assert (tmp_path / "mine" / "thesis.tex").read_text() == "years of work"


@pytest.mark.parametrize("name", ["records", "beir", "llamaindex"])
def test_a_break_leaves_what_was_there(tmp_path: Path, name: str) -> None:
    def broken() -> Iterator[TrainingRecord]:
        yield FULL
        raise RecordError("rows.jsonl:2: not JSON", fault="not_json")  # noqa: EM101

    output = tmp_path / "out"
    write_records([FULL], output, options=WriteOptions(format_name=name))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(RecordError, match=r"rows\.jsonl:2"):
        write_records(broken(), output, options=WriteOptions(format_name=name, overwrite=True))
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for name in ("records", "beir", "llamaindex"):
        with pytest.raises(InvalidInputError, match="cannot be"):
            write_records([FULL], tmp_path / "file" / "out", options=WriteOptions(format_name=name))


@pytest.mark.parametrize("split", ["", "../up", "a/b"])
def test_a_split_is_a_plain_name(split: str) -> None:
    with pytest.raises(InvalidInputError, match="split must be a plain name"):
        WriteOptions(format_name="beir", split=split)


def test_converting_tells_what_neither_side_kept(tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    rows = [{"query": "q", "content": text, "label": label, "url": "x"} for text, label in (("p", 2), ("n", 0))]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    n_seen: list[None] = []
    done = convert_data(
        source,
        tmp_path / "out",
        write_options=WriteOptions(format_name="bcembedding"),
        on_row=lambda: n_seen.append(None),
    )
    assert done.formats == {str(source): "rag-retrieval-pointwise"}
    assert done.not_read == {"key 'url', which is not read": 2}
    assert done.written.lost == {"pos_scores": 1, "neg_scores": 1}
    assert json.loads((tmp_path / "out").read_text()) == {"query": "q", "positive": ["p"], "negative": ["n"]}
    assert len(n_seen) == 1


def test_a_file_can_be_converted_in_place(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"query": "q", "positive": ["p"], "negative": []}\n')
    convert_data(path, path, write_options=WriteOptions(overwrite=True), read_options=ReadOptions())
    assert list(read_records(path)) == [TrainingRecord("q", ("p",))]


@pytest.mark.parametrize("name", ["beir", "bcembedding"])
def test_an_empty_prompt_is_told_of(tmp_path: Path, name: str) -> None:
    record = TrainingRecord("q", ("p",), ("n",), prompt="", answers=())
    assert write_records([record], tmp_path / "out", options=WriteOptions(format_name=name)).lost == {"prompt": 1}


def test_texts_that_token_ids_do_not_hold_are_told_of(tmp_path: Path) -> None:
    options = WriteOptions(format_name="luyug", tokenizer="mini")
    record = TrainingRecord("panda", ("Two  Spaces", "bamboo"), ("\U0001f43c", "\ud800"))
    written = write_records([record], tmp_path / "out.jsonl", options=options)
    ((what, count),) = written.lost.items()
    assert what.startswith("texts as they are written: their token ids stand for others")
    assert count == 3
    (back,) = open_records(tmp_path / "out.jsonl", options=ReadOptions(tokenizer="mini"))
    assert (back.query, back.pos) == ("panda", ("two spaces", "bamboo"))
