"""Tuning of cascades: what is replayed is what a cascade does, the front, the budget, and what is refused."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rerank_plugins import Cascade, Reranker
from rerank_plugins.backends.protocol import SimplePairScorer, reranker_spec
from rerank_plugins.composed import Stage
from rerank_plugins.errors import InvalidInputError, RerankPluginsError
from rerank_plugins.evaluation import Dataset, Document
from rerank_plugins.evaluation.tuning import SearchOptions, tune
from rerank_plugins.evaluation.tuning.kept import KeptScores, QueryScores
from rerank_plugins.evaluation.tuning.search import cascades, front_of, n_cascades


class Column(SimplePairScorer):
    """Scores a document by the number at a place of it, and keeps what it was asked for."""

    batch_pairs = 10_000

    def __init__(self, place: int, **spec: Any) -> None:
        self.spec = reranker_spec(f"tests/column-{place}", **spec)
        self.place = place
        self.asked: list[str] = []
        self.seconds = 0.0

    def score_texts(self, pairs: Sequence[tuple[str, str]]) -> Sequence[float]:
        self.asked += [query for query, _ in pairs]
        time.sleep(self.seconds)
        # The text of the warm-up has no numbers.
        numbers = [document.split()[self.place] for _, document in pairs]
        return [float(one) if one.lstrip("-").isdigit() else 0.0 for one in numbers]


def made_dataset(n_queries: int = 8, n_documents: int = 12, *, seed: int = 0, labelled: bool = True) -> Dataset:
    """Documents "a b c": the second number is the truth, the first a noisy view of it."""
    draw = random.Random(seed)
    documents, qrels, candidates = {}, {}, {}
    for query in range(n_queries):
        ids = [f"q{query}d{number}" for number in range(n_documents)]
        truths = draw.sample(range(n_documents), n_documents)
        for one, truth in zip(ids, truths, strict=True):
            documents[one] = Document(text=f"{truth + draw.randint(-3, 3)} {truth} x")
        best = ids[truths.index(n_documents - 1)]
        qrels[f"q{query}"] = {best: 1} if labelled else {best: 0}
        candidates[f"q{query}"] = tuple(ids)
    queries = {one: f"the query {one}" for one in qrels}
    return Dataset(name="made", documents=documents, queries=queries, qrels=qrels, candidates=candidates)


def hand_kept(ms: tuple[float, float] = (1.0, 10.0)) -> KeptScores:
    """Four documents of 10 characters each, two stages."""
    scores = np.array([[1.0, 4.0, 3.0, 2.0], [9.0, 0.0, 5.0, 7.0]])
    probabilities = np.array([[0.1, 0.4, 0.3, 0.2], [0.9, 0.0, 0.5, 0.7]])
    one = QueryScores(("a", "b", "c", "d"), np.full(4, 10.0), scores, probabilities, np.array(ms))
    return KeptScores(("cheap", "dear"), (False, False), {"q": one})


def replays(kept: KeptScores, **options: Any) -> dict[tuple[tuple[int, int, float | None], ...], tuple[str, float]]:
    found = {}
    for one in cascades(kept, SearchOptions(**options)):
        key = tuple((choice.stage, choice.depth, choice.min_probability) for choice in one.choices)
        ids = kept.queries["q"].ids
        found[key] = ("".join(ids[place] for place in one.orders["q"]), float(one.ms[0]))
    return found


def test_by_hand() -> None:
    found = replays(hand_kept(), depths=(2,))
    assert found == {
        ((0, 2, None),): ("bacd", 0.5),
        ((0, 2, None), (1, 2, None)): ("abcd", 5.5),
        ((0, 4, None),): ("bcda", 1.0),
        ((0, 4, None), (1, 2, None)): ("cbda", 6.0),
        ((0, 4, None), (1, 4, None)): ("adcb", 11.0),
        ((1, 2, None),): ("abcd", 5.0),
        ((1, 4, None),): ("adcb", 10.0),
    }
    assert len(found) == n_cascades(2, SearchOptions(depths=(2,)), n_candidates=4)


def test_least_probability_by_hand() -> None:
    found = replays(hand_kept(), depths=(), min_probabilities=(0.25, 1.0))
    assert found[(0, 4, None), (1, 4, 0.25)] == ("cbda", 6.0)
    assert found[(0, 4, None), (1, 4, 1.0)] == ("bcda", 1.0), "nothing to read costs nothing"


def test_a_listwise_stage_reads_all_or_is_not_tried() -> None:
    kept = hand_kept()
    listwise = KeptScores(kept.names, (True, False), kept.queries)
    assert {key[0][1] for key in replays(listwise, depths=(2,)) if key[0][0] == 0} == {4}


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=30))
@settings(derandomize=True, deadline=None)
def test_front_dominates_the_rest_and_not_itself(points: list[tuple[int, int]]) -> None:
    front = [points[place] for place in front_of(points)]

    def dominates(one: tuple[int, int], other: tuple[int, int]) -> bool:
        return one != other and one[0] <= other[0] and one[1] >= other[1]

    assert front == sorted(set(front))
    assert not any(dominates(one, other) for one in points for other in front)
    assert all(point in front or any(dominates(one, point) for one in front) for point in points)


def with_copies_and_blanks(dataset: Dataset) -> Dataset:
    """Put a blank document before the candidates of each query, and a copy of each that is not relevant behind it."""
    documents = {**dataset.documents, "blank": Document(text=" ")}
    candidates = {}
    for query_id, ids in dataset.candidates.items():
        listed = ["blank"]
        for one in ids:
            listed.append(one)
            if one not in dataset.relevant_ids(query_id):
                documents[f"{one}-copy"] = dataset.documents[one]
                listed.append(f"{one}-copy")
        candidates[query_id] = tuple(listed)
    return replace(dataset, documents=documents, candidates=candidates)


@pytest.mark.parametrize("has_copies", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_a_replay_is_what_the_cascade_does(seed: int, *, has_copies: bool) -> None:
    dataset = made_dataset(seed=seed)
    dataset = with_copies_and_blanks(dataset) if has_copies else dataset
    tuning = tune(
        dataset,
        [Column(0), Column(1)],
        budget_ms=1e6,
        search=SearchOptions(depths=(3, 6), min_probabilities=(0.9,)),
        measure="MRR@10",
    )
    for point in tuning.front:
        values = []
        with Cascade(point.stages) as cascade:
            for query_id, text in dataset.queries.items():
                ids = dataset.candidates[query_id]
                ranked = cascade.rank(text, [dataset.documents[one].contents for one in ids])
                order = [ids[one.index] for one in ranked]
                place = next(order.index(one) for one in dataset.relevant_ids(query_id))
                values.append(1 / (place + 1) if place < 10 else 0.0)
        both = (point.tuned.quality.value * tuning.n_tuned + point.held_out.quality.value * tuning.n_held_out) / 8
        assert np.mean(values) == pytest.approx(both)


def test_each_stage_scores_each_query_once() -> None:
    cheap, dear = Column(0), Column(1)
    tuning = tune(made_dataset(), [cheap, dear], budget_ms=1e6, search=SearchOptions(depths=(3,)))
    assert len(cheap.asked) == len(dear.asked) == 8 * 12 + 1, "one more to warm up"
    assert tuning.recommended == tuning.front[-1]
    assert [one.n_pairs for one in tuning.costs] == [96, 96]
    assert (tuning.n_tuned, tuning.n_held_out) == (4, 4)
    assert tuning.reference.name == "cascade:tests/column-1@12"


def test_the_best_within_the_budget_is_recommended() -> None:
    dear = Column(1)
    dear.seconds = 0.2
    tuning = tune(made_dataset(), [Column(0), dear], budget_ms=60, search=SearchOptions(depths=(2, 4, 6)))
    fitting = [one for one in tuning.front if one.tuned.ms <= 60]
    assert 0 < len(fitting) < len(tuning.front), "the dear stage takes 67 ms for four of twelve"
    assert tuning.recommended in fitting
    assert tuning.recommended.tuned.quality.value == max(one.tuned.quality.value for one in fitting)


def test_a_measure_of_judged_documents_looks_behind_the_others() -> None:
    # One document of each query is judged, so that it is the first of these wherever it stands.
    found = tune(made_dataset(), [Column(0), Column(1)], budget_ms=1e6, measure="nDCG(judged_only=True)@1")
    assert {one.tuned.quality.value for one in found.front} == {1.0}
    assert [one.quality for one in found.costs] == [1.0, 1.0]


def test_what_is_chosen_opens() -> None:
    with Reranker(backend=Column(1)) as dear:
        tuning = tune(made_dataset(), [Column(0), dear], budget_ms=1e6)
        cascade = tuning.build(with_budget=True)
        with cascade:
            assert cascade.stages == tuning.recommended.stages
            assert cascade.budget_ms == 1e6
    assert json.loads(tuning.to_json())["recommended"]["name"] == tuning.recommended.name
    with pytest.raises(InvalidInputError, match="holds a"):
        tuning.cascade_json()


def test_a_file_of_what_is_chosen_opens(tmp_path: Path) -> None:
    tuning = tune(made_dataset(), [Column(0), "bm25"], budget_ms=1e6)
    named = replace(tuning, recommended=replace(tuning.recommended, stages=(Stage("bm25", 9), Stage("bm25", 4))))
    path = tmp_path / "cascade.json"
    path.write_text(named.cascade_json(), encoding="utf-8")
    cascade = Cascade.from_file(path)
    with cascade:
        assert cascade.stages == named.recommended.stages


@pytest.mark.parametrize(
    ("stages", "options", "message"),
    [
        ([Column(0)], {}, "got one"),
        ([], {}, "empty"),
        ([Column(0), Stage(Column(1), 5)], {}, "what tune looks for"),
        ([Column(0), Column(1)], {"budget_ms": 0}, "above 0"),
        ([Column(0), Column(1)], {"budget_ms": 1e-9}, "no cascade takes"),
        ([Column(0), Column(1)], {"measure": "nonsense"}, "no measure"),
        ([Column(0), Column(1)], {"search": SearchOptions(max_cascades=1)}, "max_cascades"),
        ([Column(0), Column(1)], {"candidates": {"q0": ("nobody",)}}, "is no document"),
        ([Column(0), Column(1)], {"candidates": {}}, "no candidate of any query is relevant"),
        (
            [Column(0), Column(1)],
            {"candidates": {f"q{n}": made_dataset().candidates[f"q{n}"] for n in range(5)}},
            "3 of 8 queries have no candidates, the first is 'q5'",
        ),
        ([Column(0), "no such model"], {}, "no such model"),
    ],
)
def test_refused(stages: list[Any], options: dict[str, Any], message: str) -> None:
    with pytest.raises(RerankPluginsError, match=message):
        tune(made_dataset(), stages, **{"budget_ms": 1e6, **options})


def test_a_query_for_which_nothing_was_found_counts() -> None:
    tuning = tune(
        made_dataset(), [Column(0), Column(1)], budget_ms=1e6, candidates={**made_dataset().candidates, "q3": ()}
    )
    assert [one.n_pairs for one in tuning.costs] == [84, 84]


@pytest.mark.parametrize("dataset", [made_dataset(labelled=False), made_dataset(3)])
def test_too_few_labels(dataset: Dataset) -> None:
    with pytest.raises(InvalidInputError, match="queries with a relevant document"):
        tune(dataset, [Column(0), Column(1)], budget_ms=1e6)
