"""Folders in BEIR layout and LlamaIndex's JSON, read and written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rerank_plugins.errors import InvalidInputError
from rerank_plugins.evaluation import read_dataset
from rerank_plugins.evaluation.formats import read_finetune_json
from rerank_plugins.training.data import ReadOptions, TrainingRecord, WriteOptions, open_records
from rerank_plugins.training.data import write_records as write_data


@pytest.fixture
def beir(tmp_path: Path) -> Path:
    folder = tmp_path / "beir"
    (folder / "qrels").mkdir(parents=True)
    corpus = [("d1", "Title", "one"), ("d2", "", "two"), ("d3", "", "three"), ("d4", "", "nobody names it")]
    lines = [json.dumps({"_id": key, "title": title, "text": text}) for key, title, text in corpus]
    (folder / "corpus.jsonl").write_text("\n".join(lines))
    (folder / "queries.jsonl").write_text('{"_id": "q1", "text": "first"}\n{"_id": "q2", "text": "second"}\n')
    (folder / "qrels/train.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td1\t2\nq1\td2\t0\n")
    (folder / "qrels/test.tsv").write_text("q2\td2\t1\n")
    (folder / "candidates.test.jsonl").write_text('{"query_id": "q2", "candidates": ["d3", "d2"]}\n')
    return folder


def test_beir_folders_are_read(beir: Path) -> None:
    train, test = (open_records(beir, options=ReadOptions(split=split)) for split in ("train", "test"))
    assert list(train.formats.values()) == ["beir"]
    assert list(train) == [
        TrainingRecord("first", ("Title one",), ("two",), query_id="q1", pos_ids=("d1",), neg_ids=("d2",))
    ]
    # What a task names as candidate and nobody judged is not relevant.
    assert list(test) == [
        TrainingRecord("second", ("two",), ("three",), query_id="q2", pos_ids=("d2",), neg_ids=("d3",))
    ]
    kept = next(iter(open_records(beir, options=ReadOptions(split="train", keep_labels=True))))
    assert (kept.pos_scores, kept.neg_scores) == ((2.0,), (0.0,))
    strict = next(iter(open_records(beir, options=ReadOptions(split="train", positive_from=3))))
    assert (strict.pos, strict.neg_ids) == ((), ("d1", "d2"))


def test_what_a_record_cannot_hold_of_a_folder_is_counted(beir: Path) -> None:
    def counted(**options: Any) -> dict[str, int]:
        stream = open_records(beir, options=ReadOptions(**options))
        list(stream)
        return {what.split(",")[0]: count for what, count in stream.not_read.items()}

    train = {"titles": 1, "documents of the corpus that no query names": 2}
    assert counted(split="train") == {**train, "judgements other than 1 and 0": 1}
    # As a score the judgement is kept.
    assert counted(split="train", keep_labels=True) == train
    assert counted(split="test") == {
        "documents of the corpus that no query names": 2,
        "candidates without a judgement": 1,
    }


def test_beir_folders_that_are_wrong(beir: Path) -> None:
    with pytest.raises(InvalidInputError, match="its splits: test, train"):
        list(open_records(beir))
    (beir / "qrels/train.tsv").write_text("q1\tabsent\t1\n")
    with pytest.raises(InvalidInputError, match="1 judged documents are not there, the first is 'absent'"):
        list(open_records(beir, options=ReadOptions(split="train")))
    (beir / "qrels/train.tsv").write_text("absent\td1\t1\n")
    with pytest.raises(InvalidInputError, match="1 judged queries are not there"):
        list(open_records(beir, options=ReadOptions(split="train")))


RECORDS = [
    TrainingRecord("first", ("one",), ("two", "three")),
    TrainingRecord("second", ("two",), ()),
    TrainingRecord("first", ("one", "four"), ()),
]


def write(records: list[TrainingRecord], output: Path, name: str, **options: Any) -> dict[str, int]:
    return dict(write_data(records, output, options=WriteOptions(format_name=name, **options)).lost)


def test_beir_folders_are_written(tmp_path: Path) -> None:
    written = write_data(RECORDS, tmp_path / "set", options=WriteOptions(format_name="beir", split="dev"))
    assert (written.n_records, written.n_rows) == (3, 2)
    assert written.lost == {"texts judged before for the same query, of which the first judgement counts": 1}
    back = list(open_records(tmp_path / "set"))
    assert [(one.query, one.pos, one.neg) for one in back] == [
        ("first", ("one", "four"), ("two", "three")),
        ("second", ("two",), ()),
    ]
    dataset = read_dataset(tmp_path / "set", split="dev")
    assert len(dataset.documents) == 4, "equal texts are one document"


def test_ids_are_kept(beir: Path, tmp_path: Path) -> None:
    records = list(open_records(beir, options=ReadOptions(split="train")))
    assert write(records, tmp_path / "set", "beir") == {}
    assert list(open_records(tmp_path / "set")) == records


@pytest.mark.parametrize("name", ["beir", "llamaindex"])
def test_an_id_of_two_texts(tmp_path: Path, name: str) -> None:
    records = [TrainingRecord("q", ("one", "two"), pos_ids=("d", "d"))]
    with pytest.raises(InvalidInputError, match="the id 'd' stands for two texts"):
        write(records, tmp_path / "out", name)
    assert not (tmp_path / "out").exists()
    assert list(tmp_path.iterdir()) == [], "nothing is left of what was begun"


def test_an_id_that_a_table_cannot_hold(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="cannot stand in a table"):
        write([TrainingRecord("q", ("one",), pos_ids=("a\tb",))], tmp_path / "out", "beir")


def test_llamaindex_json_is_read_and_written(tmp_path: Path) -> None:
    content = {
        "queries": {"q1": "first", "q2": "second"},
        "corpus": {"d1": "one", "d2": "two"},
        "relevant_docs": {"q1": ["d1"], "q2": ["d2", "d1"]},
        "mode": "text",
    }
    for indent in (None, 4):  # LlamaIndex writes 4
        path = tmp_path / f"{indent}.json"
        path.write_text(json.dumps(content, indent=indent))
        stream = open_records(path)
        assert list(stream.formats.values()) == ["llamaindex"]
        records = list(stream)
        assert records == [
            TrainingRecord("first", ("one",), query_id="q1", pos_ids=("d1",), neg_ids=()),
            TrainingRecord("second", ("two", "one"), query_id="q2", pos_ids=("d2", "d1"), neg_ids=()),
        ]
    assert write(records, tmp_path / "back.json", "llamaindex") == {}
    assert json.loads((tmp_path / "back.json").read_text()) == content


def test_llamaindex_json_has_no_negatives(tmp_path: Path) -> None:
    lost = write(RECORDS, tmp_path / "out.json", "llamaindex")
    assert lost["negatives, whose texts stay in the corpus"] == 2
    dataset = read_finetune_json(tmp_path / "out.json")
    assert sorted(dataset.texts.values()) == ["four", "one", "three", "two"]
    assert [len(judged) for judged in dataset.qrels.values()] == [2, 1]


def test_llamaindex_json_that_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "set.json"
    path.write_text('{\n"queries": {"q": "x"}, "corpus": {}, "relevant_docs": {"q": ["absent"]}}')
    with pytest.raises(InvalidInputError, match="1 judged documents are not there"):
        list(open_records(path))
    path.write_text('{\n"query": "q"}')
    with pytest.raises(InvalidInputError, match="expected the objects 'queries', 'corpus'"):
        list(open_records(path))


@pytest.mark.parametrize("name", ["beir", "llamaindex"])
def test_white_space_around_a_text_comes_back(tmp_path: Path, name: str) -> None:
    write_data([TrainingRecord(" q ", ("  one\n",))], tmp_path / "out.json", options=WriteOptions(format_name=name))
    (record,) = open_records(tmp_path / "out.json")
    assert (record.query, record.pos) == (" q ", ("  one\n",))


def test_a_query_without_texts_is_told_of(tmp_path: Path) -> None:
    records = [TrainingRecord("a"), TrainingRecord("b", ("p",))]
    written = write_data(records, tmp_path / "out", options=WriteOptions(format_name="beir"))
    assert [record.query for record in open_records(tmp_path / "out")] == ["b"]
    ((what, count),) = written.lost.items()
    assert what.startswith("queries without a text, which have no judgement")
    assert count == 1


def test_an_id_with_half_of_a_surrogate_pair_is_refused(tmp_path: Path) -> None:
    record = TrainingRecord("q", ("p",), query_id="\ud800")
    with pytest.raises(InvalidInputError, match="cannot stand in a table"):
        write_data([record], tmp_path / "out", options=WriteOptions(format_name="beir"))
    assert not (tmp_path / "out").exists()
