from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from rerank_plugins.errors import InvalidInputError
from rerank_plugins.evaluation import Dataset, Document, pool_datasets, read_dataset, read_qrels


def write_set(folder: Path, *, qrels: dict[str, str]) -> Path:
    folder.mkdir(parents=True)
    (folder / "corpus.jsonl").write_text(
        '{"_id": "d1", "title": "Paris", "text": "A capital."}\n\n{"_id": "d2", "text": "巴黎\u2028是首都"}\n',
        encoding="utf-8",
    )
    (folder / "queries.jsonl").write_text('{"_id": "q1", "text": "capital"}\n{"_id": "q2", "text": "unjudged"}\n')
    for name, text in qrels.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return folder


def test_reads_a_set(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "tiny", qrels={"qrels/dev.tsv": "query-id\tcorpus-id\tscore\nq1\td1\t2\nq1\td2\t0\n"})
    dataset = read_dataset(folder)
    assert dataset.name == "tiny"
    assert dataset.documents == {
        "d1": Document(text="A capital.", title="Paris"),
        "d2": Document(text="巴黎\u2028是首都"),
    }
    assert dataset.documents["d1"].contents == "Paris A capital."
    assert dataset.documents["d2"].contents == "巴黎\u2028是首都"
    assert dataset.queries == {"q1": "capital"}
    assert dataset.relevant_ids("q1") == {"d1"}
    assert dataset.relevant_ids("nobody") == set()


@pytest.mark.parametrize("text", ["q\td\t1\n", "query-id\tcorpus-id\tscore\nq\td\t1", "q 0 d 1\n", "q\td\t1.0\r\n"])
def test_qrels_with_and_without_header(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.tsv").write_text(text)
    assert read_qrels(tmp_path / "x.tsv") == {"q": {"d": 1}}


def test_ids_with_spaces_survive_in_tab_separated_qrels(tmp_path: Path) -> None:
    (tmp_path / "x.tsv").write_text("0\tExtinction risk from warming:170\t1\n")
    assert read_qrels(tmp_path / "x.tsv") == {"0": {"Extinction risk from warming:170": 1}}


@pytest.mark.parametrize("line", ["q\td\thigh", "q\td\t0.5", "q\td", "q\td\tnan"])
def test_malformed_qrels_line_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "x.tsv").write_text(f"q\td\t1\n{line}\n")
    with pytest.raises(InvalidInputError, match="line 2"):
        read_qrels(tmp_path / "x.tsv")


def test_several_splits_must_be_named(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "two", qrels={"qrels/dev.tsv": "q1\td1\t1\n", "qrels/train.tsv": "q2\td1\t1\n"})
    assert set(read_dataset(folder, split="train").queries) == {"q2"}
    for split in (None, "test"):
        with pytest.raises(InvalidInputError, match=r"its splits: dev, train\. Choose one with .*--split"):
            read_dataset(folder, split=split)


def test_judged_query_without_text(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "bad", qrels={"qrels.tsv": "q9\td1\t1\n"})
    with pytest.raises(InvalidInputError, match="'q9'"):
        read_dataset(folder)


@pytest.mark.parametrize(
    "line", ["{", "[1]", '{"_id": "d3"}', '{"_id": 3.5, "text": "x"}', '{"_id": true, "text": "x"}']
)
def test_malformed_corpus_line_is_named(tmp_path: Path, line: str) -> None:
    folder = write_set(tmp_path / "bad", qrels={"qrels.tsv": "q1\td1\t1\n"})
    (folder / "corpus.jsonl").write_text(line)
    with pytest.raises(InvalidInputError, match=r"corpus\.jsonl, line 1"):
        read_dataset(folder)


def test_missing_file_is_named(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "bad", qrels={"qrels.tsv": "q1\td1\t1\n"})
    (folder / "corpus.jsonl").unlink()
    with pytest.raises(InvalidInputError, match=r"corpus\.jsonl could not be read"):
        read_dataset(folder)


def test_whole_numbers_are_ids_by_their_digits(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "numbers", qrels={"qrels.tsv": "7\t31\t1\n"})
    (folder / "corpus.jsonl").write_text('{"_id": 31, "title": null, "text": "x"}')
    (folder / "queries.jsonl").write_text('{"_id": 7, "text": "y"}')
    dataset = read_dataset(folder)
    assert (dict(dataset.texts), dataset.relevant_ids("7")) == ({"31": "x"}, {"31"})


@pytest.mark.parametrize("name", ["corpus.jsonl", "queries.jsonl"])
def test_one_id_for_two_texts(tmp_path: Path, name: str) -> None:
    folder = write_set(tmp_path / "twice", qrels={"qrels.tsv": "q1\td1\t1\n"})
    lines = (folder / name).read_text(encoding="utf-8")
    (folder / name).write_text(lines + lines, encoding="utf-8")
    assert read_dataset(folder).relevant_ids("q1") == {"d1"}
    first = lines.splitlines()[0].replace("apital", "apitol")
    (folder / name).write_text(lines + first, encoding="utf-8")
    with pytest.raises(
        InvalidInputError, match=r"line 4: the id '.1' stands for another text" if "corpus" in name else "line 3"
    ):
        read_dataset(folder)


@pytest.mark.parametrize("score", ["0.5", "nan", ""])
def test_a_first_line_that_is_no_heading_is_not_left_out(tmp_path: Path, score: str) -> None:
    (tmp_path / "x.tsv").write_text(f"q\td\t{score}\nq\te\t1\n")
    with pytest.raises(InvalidInputError, match="line 1"):
        read_qrels(tmp_path / "x.tsv")


def test_a_heading_may_stand_below_blank_lines(tmp_path: Path) -> None:
    (tmp_path / "x.tsv").write_text("\nquery-id\tcorpus-id\tscore\nq\td\t1\n")
    assert read_qrels(tmp_path / "x.tsv") == {"q": {"d": 1}}


def test_contradicting_judgements(tmp_path: Path) -> None:
    (tmp_path / "x.tsv").write_text("q\td\t1\nq\td\t1\n")
    assert read_qrels(tmp_path / "x.tsv") == {"q": {"d": 1}}
    (tmp_path / "x.tsv").write_text("q\td\t1\nq\td\t0\n")
    with pytest.raises(InvalidInputError, match=r"line 2: document 'd' has the score 1 for 'q' already, got 0"):
        read_qrels(tmp_path / "x.tsv")


def test_the_folder_one_is_in_has_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_set(tmp_path / "here", qrels={"qrels/test.tsv": "q1\td1\t1\n"})
    monkeypatch.chdir(folder / "qrels")
    assert read_dataset("..").name == "here"
    monkeypatch.chdir(folder)
    assert read_dataset(".").name == "here"


def test_pooled_sets_keep_equal_ids_apart() -> None:
    sets = [Dataset(name=n, documents={"d": Document(n)}, queries={"q": n}, qrels={"q": {"d": 1}}) for n in ("a", "b")]
    pooled = pool_datasets(sets)
    assert {key: document.text for key, document in pooled.documents.items()} == {"a/d": "a", "b/d": "b"}
    assert pooled.queries == {"a/q": "a", "b/q": "b"}
    assert pooled.relevant_ids("b/q") == {"b/d"}


def test_sets_of_one_name_are_not_pooled() -> None:
    one = Dataset(name="a", documents={"d": Document("A")}, queries={"q": "a?"}, qrels={"q": {"d": 1}})
    with pytest.raises(InvalidInputError, match="need different names"):
        pool_datasets([one, one])
    # "a" with the id "b/d" and "a/b" with the id "d" are both "a/b/d".
    with pytest.raises(InvalidInputError, match="different names"):
        pool_datasets([replace(one, name="a"), replace(one, name="a/b")])
