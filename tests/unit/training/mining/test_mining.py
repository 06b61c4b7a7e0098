"""Hard negatives: where they come from, what is dropped, and that a run gives them again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from training_rows import rows, write_rows

from rerank_plugins import Embedder, Reranker
from rerank_plugins.backends.protocol import SimplePairScorer, reranker_spec
from rerank_plugins.backends.vectors import SimpleTextEmbedder, embedder_spec
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.training import MiningResult, MiningSettings, ScoreFilter, mine_negatives

LETTERS = "abcdefghijklmnopqrstuvwxyz"


class Letters(SimpleTextEmbedder):
    """Counts letters."""

    spec = embedder_spec("tests/letters", dimensions=len(LETTERS))

    def embed_texts(self, texts: Sequence[str], *, is_query: bool) -> list[list[float]]:
        return [[0.1 + text.count(letter) for letter in LETTERS] for text in texts]


class Listed(SimplePairScorer):
    """Gives each text the probability that it is told; counts the pairs."""

    def __init__(self, scores: Mapping[str, float], *, other: float = 0.1) -> None:
        self.spec = reranker_spec("tests/listed", score_scale="probability", revision="1")
        self.scores_of, self.other, self.n_pairs = scores, other, 0

    def score_texts(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        self.n_pairs += len(pairs)
        return [self.scores_of.get(text, self.other) for _, text in pairs]


class Ranked:
    """A first stage that finds the pool in its order."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self.ids = list(texts)

    def search(self, query: str, *, top_k: int) -> dict[str, float]:
        return {name: -float(place) for place, name in enumerate(self.ids[:top_k])}

    async def asearch(self, query: str, *, top_k: int) -> dict[str, float]:
        return self.search(query, top_k=top_k)


POOL = [f"text {number}" for number in range(30)]


def mined(
    folder: Path,
    data: list[dict[str, Any]],
    *,
    pool: list[Any] | None = None,
    filter_model: SimplePairScorer | None = None,
    ranked: bool = True,
    **options: Any,
) -> tuple[list[dict[str, Any]], MiningResult]:
    path = write_rows(folder / "data.jsonl", data)
    if pool is not None:
        lines = [one if isinstance(one, dict) else {"text": one} for one in pool]
        options["candidate_pool"] = write_rows(folder / "pool.jsonl", lines)
    options = {"range_for_sampling": "0-20", "negative_number": 4, "retrievers": ("dense",), **options}
    result = mine_negatives(
        MiningSettings(data=(path,), output=folder / "out.jsonl", **options),
        embedder=Embedder(backend=Letters()),
        filter_model=None if filter_model is None else Reranker(backend=filter_model),
        first_stages=(lambda texts: [Ranked(texts)]) if ranked else None,
    )
    return [json.loads(line) for line in (folder / "out.jsonl").read_text(encoding="utf-8").splitlines()], result


ROW = {"query": "q", "pos": ["text 3", "the answer"], "neg": ["text 5", "labelled"]}


def test_the_range_without_what_is_known(tmp_path: Path) -> None:
    made, result = mined(tmp_path, [ROW], pool=POOL, sampling_strategy="top", range_for_sampling="2-9")
    assert made == [{**ROW, "neg": ["text 5", "labelled", "text 2", "text 4", "text 6", "text 7"]}]
    assert result.counts["known"] == 2
    assert (result.n_pool, result.counts["mined"], result.counts["labelled"], result.counts["random"]) == (30, 4, 2, 0)


def test_a_positive_in_other_case_and_white_space_is_known(tmp_path: Path) -> None:
    row = {"query": "Q", "pos": ["Text  0"], "neg": []}
    made, _ = mined(tmp_path, [row], pool=["text 0", "TEXT\n0", " q", *POOL[1:]], sampling_strategy="top")
    assert made[0]["neg"] == POOL[1:5]


@pytest.mark.parametrize("seed", range(3))
def test_random_texts_fill_up_however_often_a_positive_is_in_the_pool(tmp_path: Path, seed: int) -> None:
    row, same = {"query": "q", "pos": ["yes"], "neg": []}, ["yes", "Yes", "yEs", "yeS", "YES", "YEs", "yES", " yes"]
    options = {"range_for_sampling": "0-1", "negative_number": 2, "seed": seed}
    made, result = mined(tmp_path, [row], pool=[*same, "other", "another"], **options)
    assert sorted(made[0]["neg"]) == ["another", "other"]
    assert (result.counts["random"], result.counts["short"]) == (2, 0)


def test_labelled_negatives_can_be_replaced(tmp_path: Path) -> None:
    made, _ = mined(tmp_path, [ROW], pool=POOL, sampling_strategy="top", range_for_sampling="4-9", keep_labelled=False)
    assert made[0]["neg"] == POOL[4:8]


def test_the_pool_is_the_texts_of_the_data_if_there_is_none(tmp_path: Path) -> None:
    data = [ROW, {"query": "r", "pos": ["text 1"], "neg": []}]
    made, result = mined(tmp_path, data, negative_number=2, sampling_strategy="top")
    assert result.n_pool == 5
    assert made[0]["neg"] == ["text 5", "labelled", "text 1"]
    assert made[1]["neg"] == ["text 3", "the answer"]
    assert result.counts["short"] == 1


def test_random_texts_fill_up_and_are_counted(tmp_path: Path) -> None:
    options = {"pool": POOL, "range_for_sampling": "0-3", "negative_number": 9}
    made, result = mined(tmp_path, [ROW], **options)
    negatives = made[0]["neg"][2:]
    assert len(set(negatives)) == 9
    assert set(POOL[:3]) <= set(negatives)
    assert not {"text 3", "text 5"} & set(negatives)
    assert (result.counts["mined"], result.counts["random"], result.counts["short"]) == (3, 6, 0)
    _, without = mined(tmp_path, [ROW], **{**options, "range_for_sampling": "0-12"}, random_fill=False, restart=True)
    assert without.counts["random"] == 0


def test_candidates_that_score_like_the_worst_positive_are_dropped(tmp_path: Path) -> None:
    scores = {"the answer": 0.9, "text 3": 0.6, "text 0": 0.95, "text 1": 0.58, "text 2": 0.57, "text 4": 0.56}
    judge = Listed(scores, other=0.2)
    made, result = mined(tmp_path, [ROW], pool=POOL, filter_model=judge, sampling_strategy="top", show_dropped=1)
    # 5 % below .6 is .57, which may stay.
    assert made[0]["neg"][2:] == ["text 2", "text 4", "text 6", "text 7"]
    assert result.counts["false"] == 2
    (dropped,) = result.dropped
    assert (dropped.text, dropped.score, dropped.worst_positive) == ("text 0", 0.95, 0.6)
    assert dropped.where.endswith("data.jsonl:1")
    # Two positives, and candidates until there were four.
    assert judge.n_pairs == 2 + 6


@pytest.mark.parametrize(
    ("rule", "kept"),
    [
        ({"absolute_margin": 0.1}, [0.1, 0.3, 0.5]),
        ({"relative_margin": 0.5}, [0.1, 0.3]),
        ({"max_score": 0.35}, [0.1, 0.3]),
        ({"min_score": 0.2, "max_score": 0.7}, [0.3, 0.5]),
        ({"absolute_margin": 0.0}, [0.1, 0.3, 0.5]),
    ],
)
def test_the_rules_of_the_filter(rule: dict[str, float], kept: list[float], tmp_path: Path) -> None:
    scores = {f"text {number}": value for number, value in enumerate((0.1, 0.3, 0.5, 0.8))}
    judge = Listed({**scores, "the answer": 0.6}, other=0.0)
    row = {"query": "q", "pos": ["the answer"], "neg": []}
    made, _ = mined(
        tmp_path,
        [row],
        pool=POOL[:4],
        filter_model=judge,
        score_filter=ScoreFilter(**rule),
        sampling_strategy="top",
        random_fill=False,
    )
    assert [scores[text] for text in made[0]["neg"]] == kept


@given(
    worst=st.floats(-5, 5),
    margin=st.floats(0, 1),
    scores=st.lists(st.floats(-5, 5), max_size=5),
)
@settings(derandomize=True, deadline=None)
def test_the_relative_margin_is_that_of_sentence_transformers(worst: float, margin: float, scores: list[float]) -> None:
    highest = ScoreFilter(relative_margin=margin).highest(worst)
    for score in scores:
        # sentence_transformers.util.mine_hard_negatives: what is above this is removed.
        assert (score > highest) == (score > worst - abs(worst) * margin)


def test_cosines_of_a_dense_stage_filter_without_a_reranker(tmp_path: Path) -> None:
    row = {"query": "abc", "pos": ["abcz"], "neg": []}
    pool = ["abc abc", "abc", "xyz", "axyz", "abxyz"]
    made, result = mined(
        tmp_path, [row], pool=pool, ranked=False, score_filter=ScoreFilter(absolute_margin=0.0), random_fill=False
    )
    assert sorted(made[0]["neg"]) == ["abxyz", "axyz", "xyz"]
    # The other one is the query itself.
    assert (result.counts["false"], result.counts["known"]) == (1, 1)


def test_a_filter_without_scores_is_refused(tmp_path: Path) -> None:
    for options in (
        {"ranked": False, "retrievers": ("bm25",)},
        {"ranked": False, "retrievers": ("dense", "bm25")},
        {"ranked": True},
    ):
        with pytest.raises(InvalidInputError, match="name a reranker with filter_model"):
            mined(tmp_path, [ROW], pool=POOL, score_filter=ScoreFilter(max_score=0.5), **options)


def test_candidates_of_several_stages_take_turns(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "data.jsonl", [{"query": "q", "pos": ["p"], "neg": []}])
    pool = write_rows(tmp_path / "pool.jsonl", [{"text": text} for text in POOL])
    settings = MiningSettings(
        data=(path,),
        output=tmp_path / "out.jsonl",
        candidate_pool=pool,
        range_for_sampling="1-4",
        negative_number=6,
        sampling_strategy="top",
    )

    def stages(texts: Mapping[str, str]) -> list[Ranked]:
        return [Ranked(texts), Ranked(dict(reversed(texts.items())))]

    mine_negatives(settings, first_stages=stages)
    made = json.loads((tmp_path / "out.jsonl").read_text())
    assert made["neg"] == ["text 1", "text 28", "text 2", "text 27", "text 3", "text 26"]


@pytest.mark.parametrize("retrievers", [("bm25",), ("dense",), ("hybrid",), ("bm25", "dense")])
def test_the_named_stages_give_the_same_rows_in_every_run(retrievers: tuple[str, ...], tmp_path: Path) -> None:
    data = rows(30)
    options = {"ranked": False, "retrievers": retrievers, "range_for_sampling": "2-30"}
    first, result = mined(tmp_path, data, **options)
    assert result.counts["mined"] + result.counts["random"] == 4 * 30
    for changed in ({"batch_rows": 7}, {"show_dropped": 3}):
        assert mined(tmp_path, data, restart=True, **options, **changed)[0] == first
    assert mined(tmp_path, data, restart=True, **options, seed=1)[0] != first


def test_a_draw_depends_on_the_row_and_not_on_those_before(tmp_path: Path) -> None:
    judge = Listed({"text 3": 0.9, "the answer": 0.9})
    data = [{**ROW, "query": f"q{number}"} for number in range(6)]
    whole, _ = mined(tmp_path, data, pool=POOL, filter_model=judge)
    assert len({tuple(row["neg"]) for row in whole}) > 1
    changed, _ = mined(tmp_path, [{**ROW, "query": "x"}, *data[1:]], pool=POOL, filter_model=judge, restart=True)
    assert changed[1:] == whole[1:]


def test_ids_of_the_pool_become_ids_of_negatives_and_old_scores_go(tmp_path: Path) -> None:
    corpus = [{"_id": f"d{number}", "title": "T", "text": text} for number, text in enumerate(POOL)]
    folder = tmp_path / "set"
    folder.mkdir()
    write_rows(folder / "corpus.jsonl", corpus)
    row = {"query": "q", "pos": ["p"], "neg": ["n"], "pos_ids": ["dp"], "neg_ids": ["dn"]}
    data = [row, {"query": "r", "pos": ["p"], "neg": ["n"], "pos_scores": [1.0], "neg_scores": [0.0]}]
    made, result = mined(tmp_path, data, candidate_pool=folder, sampling_strategy="top", negative_number=2)
    assert made[0] == {**row, "neg": ["n", "T text 0", "T text 1"], "neg_ids": ["dn", "d0", "d1"]}
    assert made[1] == {"query": "r", "pos": ["p"], "neg": ["n", "T text 0", "T text 1"]}
    assert result.counts["scores"] == 1


def test_bad_input_is_told_before_anything_is_computed(tmp_path: Path) -> None:
    for data, options, told in (
        ([ROW, {"query": "q", "pos": [], "neg": ["n"]}], {}, "data.jsonl:2: there is no positive"),
        ([{**ROW, "query": " "}], {}, "data.jsonl:1: the query is blank"),
        ([ROW], {"range_for_sampling": "9"}, "FROM-TO with FROM below TO"),
        ([ROW], {"range_for_sampling": "9-9"}, "FROM-TO with FROM below TO"),
        ([ROW], {"range_for_sampling": "0-3", "random_fill": False}, "has 3 candidates at most"),
        ([ROW], {"retrievers": ()}, "names no first stage"),
        ([ROW], {"retrievers": ("colbert",)}, "retrievers"),
        ([ROW], {"pool": ["", " "]}, "has no text that is not blank"),
        ([ROW], {"candidate_pool": tmp_path / "absent"}, "is not there"),
        ([], {}, "is empty"),
    ):
        with pytest.raises(InvalidInputError, match=told):
            mined(tmp_path, data, **{"pool": POOL, **options} if "candidate_pool" not in options else options)
        assert not (tmp_path / "out.jsonl").exists()
    pool = write_rows(tmp_path / "wrong.jsonl", [{"contents": "x"}])
    with pytest.raises(InvalidInputError, match=r"wrong.jsonl:1: a line of a candidate pool .*its keys: 'contents'"):
        mined(tmp_path, [ROW], candidate_pool=pool)


def test_a_stopped_run_goes_on_and_another_is_refused(tmp_path: Path) -> None:
    data = [{**ROW, "query": f"q{number}"} for number in range(9)]

    class Stops(Listed):
        def score_texts(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
            if self.n_pairs > 40:
                raise KeyboardInterrupt
            return super().score_texts(pairs)

    scores = {"text 3": 0.9, "the answer": 0.9}
    with pytest.raises(KeyboardInterrupt):
        mined(tmp_path, data, pool=POOL, filter_model=Stops(scores), batch_rows=2)
    judge = Listed(scores)
    made, result = mined(tmp_path, data, pool=POOL, filter_model=judge, batch_rows=2)
    assert 0 < result.n_resumed < 9
    assert result.counts["mined"] == 36
    (tmp_path / "one").mkdir()
    assert mined(tmp_path / "one", data, pool=POOL, filter_model=Listed(scores))[0] == made
    for options, told in (
        ({"seed": 1}, "seed was 42, is 1"),
        ({"negative_number": 5}, "negative_number was 4, is 5"),
        ({"pool": POOL[1:]}, "pool was "),
    ):
        with pytest.raises(InvalidInputError, match=told):
            mined(tmp_path, data, **{"pool": POOL, **options}, filter_model=judge)


@pytest.mark.parametrize("places", ["0-20", "19-20"], ids=["mined", "random fill"])
def test_a_positive_of_another_row_with_the_same_query_is_known(tmp_path: Path, places: str) -> None:
    data = [{"query": "Q ", "pos": ["text 1"]}, {"query": "other", "pos": ["a"]}, {"query": "q", "pos": ["Text 2"]}]
    made, result = mined(tmp_path, data, pool=POOL[:8], range_for_sampling=places, negative_number=6)
    assert [sorted(row["neg"]) for row in made] == [
        [one for one in POOL[:8] if one not in ("text 1", "text 2")],
        sorted(made[1]["neg"]),
        [one for one in POOL[:8] if one not in ("text 1", "text 2")],
    ]
    assert result.counts["short"] == 0


def test_ids_that_mined_texts_do_not_have_are_counted(tmp_path: Path) -> None:
    made, result = mined(tmp_path, [{**ROW, "neg_ids": ["a", "b"]}], pool=POOL)
    assert "neg_ids" not in made[0]
    assert result.counts["ids"] == 1


def test_no_first_stage_is_an_error(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "data.jsonl", [ROW])
    with pytest.raises(InvalidInputError, match="first_stages made no first stage"):
        mine_negatives(MiningSettings(data=(path,), output=tmp_path / "out.jsonl"), first_stages=lambda _: [])


def test_a_rows_own_answer_is_known_by_its_id_and_without_its_title(tmp_path: Path) -> None:
    """A pool in BEIR layout puts titles in front; the rows' texts often have none, and their ids say whose they are."""
    pool = [{"_id": f"d{n}", "title": f"Title {n}", "text": f"apple text {n}"} for n in range(6)]
    data = [
        {"query": "by text", "pos": ["apple text 1"]},
        {"query": "by id", "pos": ["another wording"], "pos_ids": ["d2"]},
        {"query": "by id", "pos": ["apple text 3"], "pos_ids": ["d3"]},
    ]
    made, _ = mined(
        tmp_path,
        data,
        pool=pool,
        range_for_sampling="0-6",
        negative_number=6,
        sampling_strategy="top",
        random_fill=True,
    )
    texts = [set(row["neg"]) for row in made]
    assert texts[0] == {f"Title {n} apple text {n}" for n in (0, 2, 3, 4, 5)}
    assert texts[1] == texts[2] == {f"Title {n} apple text {n}" for n in (0, 1, 4, 5)}


def test_drawn_texts_are_judged_too_and_the_best_ranks_come_last(tmp_path: Path) -> None:
    answers = dict.fromkeys(POOL[10:25], 0.9)
    data = [{"query": f"q{n}", "pos": ["the answer"]} for n in range(4)]
    options: dict[str, Any] = {
        "filter_model": Listed({"the answer": 0.95, **answers}),
        "range_for_sampling": "3-5",
        "negative_number": 6,
        "score_filter": ScoreFilter(max_score=0.5),
        "sampling_strategy": "top",
        "random_fill": True,
    }
    made, result = mined(tmp_path, data, pool=POOL, **options)
    assert all(row["neg"][:2] == POOL[3:5] for row in made)
    assert all(len(set(row["neg"])) == 6 for row in made)
    assert not [text for row in made for text in row["neg"] if text in answers or text in POOL[:3]]
    assert result.counts["random"] == 16
    # Where there is nothing else, the best ranks do.
    (tmp_path / "few").mkdir()
    few, _ = mined(tmp_path / "few", data, pool=POOL[:6], **options)
    assert all(sorted(row["neg"]) == POOL[:6] for row in few)


@pytest.mark.parametrize("name", ["max_score", "min_score"])
def test_a_bound_that_is_no_number_is_refused(name: str) -> None:
    with pytest.raises(InvalidInputError, match=name):
        ScoreFilter(**{name: float("nan")})


def test_a_filter_that_takes_everything_for_an_answer_does_not_score_the_whole_pool(tmp_path: Path) -> None:
    judge = Listed({"the answer": 0.01}, other=0.9)
    pool = [f"text {number}" for number in range(3000)]
    options: dict[str, Any] = {"score_filter": ScoreFilter(relative_margin=0.05), "random_fill": True}
    made, result = mined(
        tmp_path, [{"query": "q", "pos": ["the answer"]}], pool=pool, filter_model=judge, negative_number=7, **options
    )
    assert made[0]["neg"] == []
    assert result.counts["short"] == 1
    # The positive, the twenty of the range, and ten draws of seven.
    assert judge.n_pairs == 1 + 20 + 10 * 7
