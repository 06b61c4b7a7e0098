"""What is wrong with a dataset is an error or a note, and never a silent zero."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rerank_plugins.errors import InvalidInputError
from rerank_plugins.evaluation import Dataset, Document
from rerank_plugins.evaluation.checks import sample_queries, usable_dataset

GOOD = Dataset(
    name="t",
    documents={"a": Document("x"), "b": Document("y")},
    queries={"q1": "one", "q2": "two"},
    qrels={"q1": {"a": 1}, "q2": {"b": 2, "a": 0}},
    candidates={"q1": ("a", "b"), "q2": ()},
)


def test_a_good_dataset_stays_as_it_is() -> None:
    assert usable_dataset(GOOD) == GOOD


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"qrels": {"q1": {"a": 1, "gone": 1}, "q2": {"b": 1}}}, "1 judgements name .* 'gone' of query 'q1'"),
        ({"candidates": {"q1": ("a", "gone"), "q2": ()}}, "1 candidates name .* 'gone' of query 'q1'"),
        ({"queries": {"q1": "one", "q2": " "}}, "1 queries are blank, the first is 'q2'"),
        ({"queries": {"q1": "one"}, "candidates": {}}, "1 judged queries have no text, the first is 'q2'"),
    ],
)
def test_a_mistake_is_an_error_or_dropped_with_a_note(changes: dict[str, object], match: str) -> None:
    bad = replace(GOOD, **changes)
    with pytest.raises(InvalidInputError, match=match):
        usable_dataset(bad)
    kept = usable_dataset(bad, on_bad="drop")
    assert len(kept.notes) == 1
    assert "gone" not in str((kept.qrels, kept.candidates))
    assert all(text.strip() for text in kept.queries.values())
    assert usable_dataset(kept) == kept


def test_queries_that_nothing_answers_are_left_out_with_a_note() -> None:
    bad = replace(GOOD, qrels={"q1": {"a": 1}, "q2": {"b": 0}})
    kept = usable_dataset(bad)
    assert list(kept.queries) == ["q1"]
    assert kept.notes == ("left out: 1 of 2 queries without a relevant document",)
    assert usable_dataset(replace(GOOD, qrels={"q1": {"a": 1}})) == kept, "nobody judged q2"
    with pytest.raises(InvalidInputError, match="nothing to measure"):
        usable_dataset(replace(GOOD, qrels={"q1": {"a": 0}, "q2": {}}))
    with pytest.raises(InvalidInputError, match="nothing to measure"):
        usable_dataset(replace(GOOD, qrels={"q1": {"gone": 1}, "q2": {"gone": 1}}), on_bad="drop")


def test_queries_without_candidates_beside_others_are_told_once() -> None:
    kept = usable_dataset(replace(GOOD, candidates={"q1": ("a",)}))
    (told,) = kept.notes
    assert told.startswith("1 of 2 queries have no candidates, the first is 'q2': where the candidates are ranked")
    assert usable_dataset(kept) == kept
    assert usable_dataset(replace(GOOD, candidates={})).notes == ()


def listed(n_queries: int, order: tuple[str, ...]) -> Dataset:
    ids = [f"q{n}" for n in range(n_queries)]
    return replace(
        GOOD,
        queries=dict.fromkeys(ids, "one"),
        qrels={one: {"a": 1, "b": 0} for one in ids},
        candidates={**dict.fromkeys(ids, ("a", "b")), "q0": order},
    )


def test_candidates_that_are_sorted_by_their_labels_are_told() -> None:
    kept = usable_dataset(listed(10, ("a", "b")))
    (told,) = kept.notes
    assert told.startswith("the candidates of all 10 queries stand relevant ones first")
    assert usable_dataset(kept) == kept
    assert not usable_dataset(listed(10, ("b", "a"))).notes
    assert not usable_dataset(listed(9, ("a", "b"))).notes
    # A list of one kind alone says nothing.
    assert not usable_dataset(listed(10, ("a",))).notes


def test_on_bad_is_checked() -> None:
    with pytest.raises(InvalidInputError, match="on_bad"):
        usable_dataset(GOOD, on_bad="ignore")


def test_a_sample_is_seeded_in_order_and_noted() -> None:
    many = replace(
        GOOD,
        queries={f"q{i}": str(i) for i in range(50)},
        qrels={f"q{i}": {"a": 1} for i in range(50)},
        candidates={f"q{i}": ("a",) for i in range(50)},
    )
    one = sample_queries(many, n_queries=7, seed=3)
    assert one == sample_queries(many, n_queries=7, seed=3)
    assert list(one.queries) != list(sample_queries(many, n_queries=7, seed=4).queries)
    assert list(one.queries) == [key for key in many.queries if key in one.queries]
    assert len(one.queries) == len(one.qrels) == len(one.candidates) == 7
    assert one.notes == ("7 of 50 queries, sampled with seed 3",)
    assert sample_queries(many, n_queries=None, seed=3) is many
    assert sample_queries(many, n_queries=50, seed=3) is many
