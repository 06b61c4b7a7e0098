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


def test_too_few_queries_are_not_held_out(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "a.jsonl", rows(40))
    stored, held = store_rows(data_of(path), tmp_path / "s", holds_out=True)
    assert held == ()
    assert len(stored) == 40


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"query": "  "}, "the query is blank"),
        ({"pos": []}, "'pos' is empty"),
        ({"neg": []}, "'neg' is empty"),
        ({"pos": ["", "x"]}, "a text in 'pos' is blank"),
        ({"neg": ["x", "\n"]}, "a text in 'neg' is blank"),
        ({"pos": "x"}, "'pos' must be a list"),
        ({"pos_scores": [1.0]}, "has 1 scores for 2 texts"),
    ],
)
def test_a_row_without_a_group_is_refused_with_file_and_line(
    tmp_path: Path, changes: dict[str, object], told: str
) -> None:
    made = rows(5)
    made[3] |= changes
    path = write_rows(tmp_path / "a.jsonl", made)
    with pytest.raises(InvalidInputError, match=told) as caught:
        store_rows(data_of(path), tmp_path / "s", holds_out=False)
    assert f"{path}:4" in str(caught.value)


def test_a_teacher_is_asked_for_where_one_is_learnt_from(tmp_path: Path) -> None:
    plain = write_rows(tmp_path / "a.jsonl", rows(3))
    with pytest.raises(InvalidInputError, match=r"a\.jsonl:1: knowledge_distillation needs pos_scores"):
        store_rows(data_of(plain, knowledge_distillation=True), tmp_path / "s", holds_out=False)
    scored = write_rows(tmp_path / "b.jsonl", rows(3, teacher=True))
    distils = data_of(scored, knowledge_distillation=True)
    assert len(store_rows(distils, tmp_path / "s", holds_out=False)[0]) == 3
    with pytest.raises(InvalidInputError, match="is no probability"):
        store_rows(replace(distils, teacher_scale="probability"), tmp_path / "s", holds_out=False)


def test_no_rows_are_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("\n\n")
    with pytest.raises(InvalidInputError, match="has no row"):
        store_rows(data_of(path), tmp_path / "s", holds_out=False)
