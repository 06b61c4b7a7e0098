from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path

import pytest
from training_rows import rows, write_rows

from rerank_plugins.errors import InvalidInputError
from rerank_plugins.training.rows import store_rows
from rerank_plugins.training.settings import DataSettings


def data_of(*files: Path, **changes: object) -> DataSettings:
    return replace(DataSettings(train_data=files), **changes)  # type: ignore[arg-type]


def test_rows_come_back_by_number_with_their_places(tmp_path: Path) -> None:
    made = rows(7, teacher=True)
    made[2]["query"] = "大熊猫吃什么？\ud800"
    first = write_rows(tmp_path / "a.jsonl", made[:3])
    second = tmp_path / "b.jsonl.gz"
    second.write_bytes(gzip.compress(b"\n" + write_rows(tmp_path / "rest", made[3:]).read_bytes()))
    stored, held = store_rows(data_of(first, second), tmp_path / "stored", holds_out=False)
    assert [stored[row].to_mapping() for row in range(len(stored))] == made
    assert held == ()
    assert stored.where(1) == f"{first}:2"
    assert stored.where(3) == f"{second}:2"


def test_the_digest_is_of_the_rows_and_not_of_their_files(tmp_path: Path) -> None:
    one, other = write_rows(tmp_path / "a.jsonl", rows(4)), write_rows(tmp_path / "b.jsonl", rows(4))
    changed = write_rows(tmp_path / "c.jsonl", rows(4, seed=9))
    digests = [store_rows(data_of(path), tmp_path / "s", holds_out=False)[0].digest for path in (one, other, changed)]
    assert digests[0] == digests[1] != digests[2]


def test_queries_are_held_out_whole_and_the_same_ones_in_every_run(tmp_path: Path) -> None:
    made = rows(200)
    path = write_rows(tmp_path / "a.jsonl", [*made, *made])
    stored, held = store_rows(data_of(path, dev_fraction=0.2), tmp_path / "s", holds_out=True)
    trained = {stored[row].query for row in range(len(stored))}
    measured = {record.query for record in held}
    assert len(held) == 2 * len(measured)
    assert not trained & measured
    assert len(trained) + len(measured) == 200
    assert 20 < len(measured) < 60
    backwards = write_rows(tmp_path / "b.jsonl", made[::-1])
    _, again = store_rows(data_of(backwards, dev_fraction=0.2), tmp_path / "s", holds_out=True)
    assert {record.query for record in again} == measured


def test_five_hundred_queries_are_held_out_at_most_whatever_rows_they_have(tmp_path: Path) -> None:
    made = [{"query": f"q{n}", "pos": [f"p{n} {one}"], "neg": ["n"]} for n in range(1100) for one in range(3)]
    path = write_rows(tmp_path / "a.jsonl", made)
    stored, held = store_rows(data_of(path, dev_fraction=0.5), tmp_path / "s", holds_out=True)
    assert (len(held), len({record.query for record in held})) == (1500, 500)
    assert (len(stored), stored.n_answered) == (1800, 0)


def test_held_out_rows_whose_answer_is_trained_on_are_counted(tmp_path: Path) -> None:
    # As in a list of answered questions, where several ask for one answer; two of three have one of their own.
    made = [{"query": f"q{n}", "pos": [f"Answer {n if n % 3 else n % 6}"], "neg": ["n"]} for n in range(300)]
    path = write_rows(tmp_path / "a.jsonl", made)
    stored, held = store_rows(data_of(path), tmp_path / "s", holds_out=True)
    trained = {stored[row].pos[0] for row in range(len(stored))}
    expected = sum(record.pos[0] in trained for record in held)
    assert 0 < expected < len(held)
    assert stored.n_answered == expected


def test_queries_of_other_sets_that_are_trained_on_are_named(tmp_path: Path) -> None:
    made = [{"query": f"Query {n}", "pos": [f"p{n}"], "neg": ["n"]} for n in range(200)]
    path = write_rows(tmp_path / "a.jsonl", made)
    asked = ["query  7", "QUERY 8", "Query 200", *(row["query"] for row in made[100:])]
    stored, held = store_rows(data_of(path, dev_fraction=0.2), tmp_path / "s", holds_out=True, asked_queries=asked)
    trained = {stored[row].query.casefold() for row in range(len(stored))}
    expected = {one for one in asked if " ".join(one.casefold().split()) in trained}
    assert 20 < len(expected) < 100
    assert stored.known_queries == expected
    # Held-out queries are not trained on.
    assert not stored.known_queries & {record.query for record in held}


def test_too_few_queries_are_not_held_out(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "a.jsonl", rows(40))
    stored, held = store_rows(data_of(path), tmp_path / "s", holds_out=True)
    assert held == ()
    assert len(stored) == 40


@pytest.mark.parametrize("changes", [{"query": "  "}, {"pos": []}, {"neg": []}, {"pos": [""]}, {"neg": ["\n", ""]}])
def test_rows_without_a_group_are_left_out(tmp_path: Path, changes: dict[str, object]) -> None:
    made = rows(5)
    path = write_rows(tmp_path / "a.jsonl", [*made[:3], made[3] | changes, made[4]])
    stored, _ = store_rows(data_of(path), tmp_path / "s", holds_out=False)
    assert [stored[row].query for row in range(len(stored))] == [row["query"] for row in (*made[:3], made[4])]
    assert stored.n_left_out == 1
    assert stored.where(3) == f"{path}:5"


def test_a_blank_text_goes_with_its_score(tmp_path: Path) -> None:
    row = {"query": "q", "pos": ["a", " "], "neg": ["", "b"], "pos_scores": [1.0, 2.0], "neg_scores": [3.0, 4.0]}
    path = write_rows(tmp_path / "a.jsonl", [row])
    stored, _ = store_rows(data_of(path), tmp_path / "s", holds_out=False)
    assert stored[0].to_mapping() == {
        "query": "q",
        "pos": ["a"],
        "neg": ["b"],
        "pos_scores": [1.0],
        "neg_scores": [4.0],
    }


def test_a_row_that_is_none_is_refused_with_file_and_line_or_allowed(tmp_path: Path) -> None:
    made = rows(5)
    made[3]["pos_scores"] = [1.0]
    path = write_rows(tmp_path / "a.jsonl", made)
    with pytest.raises(InvalidInputError, match="1 scores for 2 texts") as caught:
        store_rows(data_of(path), tmp_path / "s", holds_out=False)
    assert f"{path}:4" in str(caught.value)
    stored, _ = store_rows(data_of(path, allow=("score_count",)), tmp_path / "s", holds_out=False)
    assert (len(stored), stored.n_left_out) == (4, 1)


def test_a_teacher_is_needed_where_one_is_learnt_from(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "a.jsonl", [*rows(2), *rows(3, teacher=True)])
    distils = data_of(path, knowledge_distillation=True)
    stored, _ = store_rows(distils, tmp_path / "s", holds_out=False)
    assert (len(stored), stored.n_left_out) == (3, 2)
    with pytest.raises(InvalidInputError, match=r"a\.jsonl:3: a teacher's scores from .* are no probabilities"):
        store_rows(replace(distils, teacher_scale="probability"), tmp_path / "s", holds_out=False)


def test_no_rows_are_an_error(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "a.jsonl", [{"query": "q", "pos": ["a"], "neg": []}])
    with pytest.raises(InvalidInputError, match="no row that could be trained on"):
        store_rows(data_of(path), tmp_path / "s", holds_out=False)


def test_other_formats_are_read_too(tmp_path: Path) -> None:
    hits = [{"content": "a", "label": 1}, {"content": "b", "label": 0}]
    path = write_rows(tmp_path / "a.jsonl", [{"query": "q", "hits": hits}])
    stored, _ = store_rows(data_of(path), tmp_path / "s", holds_out=False)
    assert (stored[0].pos, stored[0].neg) == (("a",), ("b",))
