from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import pytest

from rerank_plugins.errors import InvalidInputError, MissingExtraError
from rerank_plugins.evaluation.formats import open_dataset


def lines(path: Path, *entries: object) -> Path:
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries), encoding="utf-8")
    return path


def test_positives_and_negatives(tmp_path: Path) -> None:
    path = lines(
        tmp_path / "mine.jsonl",
        {"query": "a?", "pos": ["A", "AA"], "neg": ["B"]},
        {"query": "b?", "pos": ["B"]},
        {"query": "a?", "pos": ["B"], "neg": []},
    )
    dataset = open_dataset(path)
    assert dataset.name == "mine"
    assert dataset.texts == {"d0": "A", "d1": "AA", "d2": "B"}
    assert dataset.queries == {"q0": "a?", "q1": "b?"}
    assert dataset.qrels == {"q0": {"d0": 1, "d1": 1, "d2": 1}, "q1": {"d2": 1}}
    assert {query_id: set(listed) for query_id, listed in dataset.candidates.items()} == {
        "q0": {"d0", "d1", "d2"},
        "q1": {"d2"},
    }


def test_the_order_of_positives_and_negatives_tells_no_answer(tmp_path: Path) -> None:
    rows = [{"query": f"{n}?", "pos": [f"right {n}"], "neg": [f"wrong {n} {m}" for m in range(4)]} for n in range(200)]
    dataset = open_dataset(lines(tmp_path / "mine.jsonl", *rows))
    assert all(len(listed) == 5 for listed in dataset.candidates.values())
    n_first = sum(listed[0] in dataset.relevant_ids(query_id) for query_id, listed in dataset.candidates.items())
    assert 20 <= n_first <= 60, "a fifth by chance"
    swapped = [{**row, "pos": row["neg"], "neg": row["pos"]} for row in rows]
    other = open_dataset(lines(tmp_path / "other.jsonl", *swapped))
    orders = [[[data.texts[one] for one in listed] for listed in data.candidates.values()] for data in (dataset, other)]
    assert orders[0] == orders[1]


def test_hits_are_candidates_in_their_own_order(tmp_path: Path) -> None:
    hits = [{"content": f"text {n}", "label": int(n == 5)} for n in range(9)]
    dataset = open_dataset(lines(tmp_path / "mine.jsonl", {"query": "a?", "hits": hits}))
    assert dataset.candidates == {"q0": tuple(f"d{n}" for n in range(9))}


@pytest.mark.parametrize(
    "entries",
    [
        [{"query": "a?", "qrels": {"A": 2, "B": 0, "C": 1}}],
        [{"query": "a?", "hits": [{"content": one, "label": n} for one, n in (("A", 2), ("B", 0.4), ("C", 0.5))]}],
        [{"query": "a?", "content": text, "label": label} for text, label in (("A", 2), ("B", 0), ("C", 1.0))],
    ],
)  # fmt: skip
def test_grades(tmp_path: Path, entries: list[object]) -> None:
    dataset = open_dataset(lines(tmp_path / "mine.jsonl", *entries))
    assert dataset.texts == {"d0": "A", "d1": "B", "d2": "C"}
    assert dataset.qrels == {"q0": {"d0": 2, "d1": 0, "d2": 1}}


@pytest.mark.parametrize(
    "entry",
    [
        {"pos": ["A"]},
        {"query": "a?"},
        {"query": "a?", "pos": []},
        {"query": "a?", "pos": [3]},
        {"query": "a?", "pos": ["A"], "neg": "BC"},
        {"query": "a?", "pos": ["A"], "neg": {"B": 1}},
        {"query": "a?", "pos": ["A"], "neg": 3},
        {"query": "a?", "qrels": {"A": math.nan}},
        {"query": "a?", "qrels": {"A": math.inf}},
        {"query": "a?", "qrels": {"A": "high"}},
        {"query": "a?", "qrels": {"A": True}},
        {"query": "a?", "qrels": {"A": 10**400}},
        {"query": "a?", "hits": ["A"]},
        {"query": "a?", "content": "A"},
        ["a?"],
    ],
)
def test_a_malformed_line_is_named(tmp_path: Path, entry: object) -> None:
    with pytest.raises(InvalidInputError, match="line 2: "):
        open_dataset(lines(tmp_path / "mine.jsonl", {"query": "b?", "pos": ["B"]}, entry))


def test_json_that_is_nested_too_deep_is_named(tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl").write_text("[" * 100_000)
    with pytest.raises(InvalidInputError, match="line 1: not JSON"):
        open_dataset(tmp_path / "mine.jsonl")


FINETUNE = {"queries": {"1": "a?"}, "corpus": {"x": "A", "y": "B"}, "relevant_docs": {"1": ["y"]}, "mode": "text"}


def test_finetune_json(tmp_path: Path) -> None:
    path = tmp_path / "val.json"
    path.write_text(json.dumps(FINETUNE, indent=2), encoding="utf-8")
    dataset = open_dataset(path)
    assert (dataset.texts, dataset.queries, dataset.qrels) == ({"x": "A", "y": "B"}, {"1": "a?"}, {"1": {"y": 1}})


@pytest.mark.parametrize(
    "changes",
    [
        {"corpus": ["A"]},
        {"queries": {"1": 3}},
        {"relevant_docs": None},
        {"relevant_docs": {"1": "x"}},
        {"relevant_docs": {"2": ["x"]}},
    ],
)
def test_other_json_is_refused(tmp_path: Path, changes: dict[str, object]) -> None:
    path = tmp_path / "val.json"
    path.write_text(json.dumps({**FINETUNE, **changes}), encoding="utf-8")
    with pytest.raises(InvalidInputError, match=r"val\.json: "):
        open_dataset(path)


def test_a_place_where_nothing_is(tmp_path: Path) -> None:
    for source in (tmp_path / "none", tmp_path / "none.jsonl", "mine.csv"):
        with pytest.raises(InvalidInputError, match="check the path"):
            open_dataset(source)


def test_beir_candidates(tmp_path: Path) -> None:
    lines(tmp_path / "corpus.jsonl", {"_id": "x", "text": "A"}, {"_id": "y", "text": "B"})
    lines(tmp_path / "queries.jsonl", {"_id": "1", "text": "a?"}, {"_id": "2", "text": "not judged"})
    (tmp_path / "qrels").mkdir()
    (tmp_path / "qrels" / "dev.tsv").write_text("1\tx\t1\n")
    given = [{"query_id": "1", "candidates": ["y", "x"]}, {"query_id": "2", "candidates": ["y"]}]
    lines(tmp_path / "candidates.dev.jsonl", *given)
    assert open_dataset(tmp_path, split="dev").candidates == {"1": ("y", "x")}
    lines(tmp_path / "candidates.dev.jsonl", *given, {"query_id": "1", "candidates": ["x"]})
    with pytest.raises(InvalidInputError, match="line 3: the query '1' has other candidates already"):
        open_dataset(tmp_path)
    lines(tmp_path / "candidates.dev.jsonl", {"query": "1"})
    with pytest.raises(InvalidInputError, match="line 1: expected an object with 'query_id'"):
        open_dataset(tmp_path)


def test_candidates_have_ids_that_are_numbers_as_the_texts_do(tmp_path: Path) -> None:
    lines(tmp_path / "corpus.jsonl", {"_id": 11, "text": "A"}, {"_id": "12", "text": "B"})
    lines(tmp_path / "queries.jsonl", {"_id": 1, "text": "a?"})
    (tmp_path / "qrels.tsv").write_text("1\t11\t1\n")
    lines(tmp_path / "candidates.qrels.jsonl", {"query_id": 1, "candidates": ["12", 11]})
    assert open_dataset(tmp_path).candidates == {"1": ("12", "11")}


@pytest.mark.parametrize("one", [None, True, 1.0, {"id": "11"}, ["11"]])
def test_a_candidate_that_is_no_id_is_told_by_its_line(tmp_path: Path, one: object) -> None:
    lines(tmp_path / "corpus.jsonl", {"_id": "11", "text": "A"})
    lines(tmp_path / "queries.jsonl", {"_id": "1", "text": "a?"})
    (tmp_path / "qrels.tsv").write_text("1\t11\t1\n")
    lines(tmp_path / "candidates.qrels.jsonl", {"query_id": "1", "candidates": ["11", one]})
    with pytest.raises(InvalidInputError, match=r"line 1: expected an object .* of ids"):
        open_dataset(tmp_path)


def test_without_mteb(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mteb", None)
    with pytest.raises(MissingExtraError, match=r'pip install "rerank-plugins\[mteb\]"'):
        open_dataset("mteb:T2Reranking")
