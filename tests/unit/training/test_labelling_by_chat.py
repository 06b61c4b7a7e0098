"""A chat model as teacher: what it says nothing of has no score, and is asked again by the next run."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from training_rows import rows, write_rows

from rerank_plugins import ChatScorer, Ensemble, LongDocuments, Reranker, ScoreCache
from rerank_plugins.backends.protocol import SimplePairScorer, reranker_spec
from rerank_plugins.calls.known_scores import known_scores
from rerank_plugins.chat import ChatAnswer, ChatLimits, ChatMessage, ChatOptions, Pointwise, SimpleChatModel
from rerank_plugins.errors import RemoteError, ScoringError
from rerank_plugins.training import LabelResult, LabelSettings, label_records
from rerank_plugins.training.data.records import TrainingRecord
from rerank_plugins.training.mining.choosing import Candidate
from rerank_plugins.training.mining.judges import RerankerJudge
from rerank_plugins.training.row_source import PlacedRecord

Fault = Callable[[str], str | Exception | None]


class Grader(SimpleChatModel):
    """Grades each text with 7, unless ``fault`` says what comes instead; remembers what it was asked."""

    name = "grader"

    def __init__(self, fault: Fault = lambda _text: None) -> None:
        self.fault, self.asked = fault, list[str]()

    def complete(self, messages: Sequence[ChatMessage], options: ChatOptions) -> ChatAnswer:
        text = "".join(one.content for one in messages)
        self.asked.append(text)
        found = self.fault(text)
        if isinstance(found, Exception):
            raise found
        return ChatAnswer(text="7" if found is None else found)


def teacher(model: Grader, **limits: Any) -> Reranker:
    method = Pointwise(answer="grade")
    return Reranker(backend=ChatScorer(model, method=method, limits=ChatLimits(**limits) if limits else None))


def label(folder: Path, reranker: Any, data: list[dict[str, Any]], **options: Any) -> LabelResult:
    path = write_rows(folder / "data.jsonl", data)
    return label_records(LabelSettings(data=(path,), output=folder / "out.jsonl", **options), reranker)


def written(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "out.jsonl").read_text(encoding="utf-8").splitlines()]


def about(*numbers: int, times: int = 1_000_000, answer: str | None = None) -> Fault:
    """Return a fault of the rows with these numbers, whose queries end in them."""
    left = [times]

    def fault(text: str) -> str | Exception | None:
        if not any(f"what is {word} 1 {number}" in text for number in numbers for word in _WORDS) or not left[0]:
            return None
        left[0] -= 1
        return TimeoutError("slow") if answer is None else answer

    return fault


_WORDS = {row["query"].split()[2] for row in rows(40)}


@pytest.mark.parametrize("answer", [None, "I would rather not say."], ids=["no-answer", "unread"])
def test_a_row_without_a_score_is_left_and_asked_again_by_the_next_run(tmp_path: Path, answer: str | None) -> None:
    data = rows(9)
    model = Grader(about(2, 5, answer=answer))
    result = label(tmp_path, teacher(model), data, batch_pairs=20)
    assert (result.n_rows, result.n_left, result.n_resumed, result.n_scores) == (7, 2, 0, 49)
    kept = written(tmp_path)
    assert [row["query"] for row in kept] == [row["query"] for number, row in enumerate(data) if number not in (2, 5)]
    # Of these no text has a 0, which would say that it answers nothing.
    assert {score for row in kept for score in (*row["pos_scores"], *row["neg_scores"])} == {0.7}
    again = Grader(about(5, answer=answer))
    result = label(tmp_path, teacher(again), data, batch_pairs=20)
    assert (result.n_rows, result.n_left, result.n_resumed, result.n_scores) == (8, 1, 7, 56)
    assert all("1 2" in text or "1 5" in text for text in again.asked)
    mended = Grader()
    result = label(tmp_path, teacher(mended), data, batch_pairs=20)
    assert (result.n_rows, result.n_left, result.n_scores) == (9, 0, 63)
    assert len(mended.asked) == 7
    assert written(tmp_path)[:7] == kept
    assert [row["query"] for row in written(tmp_path)[7:]] == [data[2]["query"], data[5]["query"]]
    idle = Grader()
    assert label(tmp_path, teacher(idle), data, batch_pairs=20).n_rows == 9
    assert not idle.asked


def test_what_passes_is_asked_again_at_the_end_of_the_same_run(tmp_path: Path) -> None:
    data = rows(9)
    result = label(tmp_path, teacher(Grader(about(3, times=1))), data)
    assert (result.n_rows, result.n_left) == (9, 0)
    assert written(tmp_path)[-1]["query"] == data[3]["query"]
    assert json.loads((tmp_path / "out.jsonl.job.json").read_text())["finished"]


def test_a_run_that_ends_in_between_knows_what_it_left(tmp_path: Path) -> None:
    data, done = rows(9), list[int]()

    def killed(n_done: int, n_rows: int) -> None:
        done.append(n_done)
        if n_done == 6:
            raise KeyboardInterrupt

    path = write_rows(tmp_path / "data.jsonl", data)
    settings = LabelSettings(data=(path,), output=tmp_path / "out.jsonl", batch_pairs=14)
    with pytest.raises(KeyboardInterrupt):
        label_records(settings, teacher(Grader(about(1))), on_row=killed)
    assert done == [2, 4, 6]
    model = Grader()
    result = label_records(settings, teacher(model))
    assert (result.n_rows, result.n_left, result.n_resumed) == (9, 0, 5)
    assert len(model.asked) == 4 * 7
    assert sorted(row["query"] for row in written(tmp_path)) == sorted(row["query"] for row in data)


def test_a_model_that_never_answers_ends_the_run_and_the_next_one_goes_on(tmp_path: Path) -> None:
    data = rows(40)
    # A text that stands in a row twice is asked about once.
    n_asked = [len({*row["pos"], *row["neg"]}) for row in data]
    model = Grader(about(*range(4, 40)))
    told = r"data.jsonl:24: none of the last 20 rows got its scores.*4 rows are in '.*out.jsonl'"
    with pytest.raises(ScoringError, match=told):
        label(tmp_path, teacher(model), data, batch_pairs=28)
    assert len(model.asked) == sum(n_asked[:24])
    mended = Grader()
    result = label(tmp_path, teacher(mended), data, batch_pairs=28)
    assert (result.n_rows, result.n_left) == (40, 0)
    assert len(mended.asked) == sum(n_asked[4:])


def test_an_error_that_does_not_pass_and_one_that_is_asked_for_name_the_row(tmp_path: Path) -> None:
    data = rows(9)
    for model, limits in (
        (Grader(lambda text: RemoteError("wrong key") if "1 4" in text else None), {}),
        (Grader(about(4)), {"on_failure": "raise"}),
    ):
        with pytest.raises(ScoringError, match=r"data.jsonl:5: .*the 4 rows before are in"):
            label(tmp_path, teacher(model, **limits), data, restart=True)
        assert len(written(tmp_path)) == 4
    assert label(tmp_path, teacher(Grader()), data).n_rows == 9


def test_a_limit_of_calls_is_one_for_each_query(tmp_path: Path) -> None:
    model = Grader()
    assert label(tmp_path, teacher(model, max_calls=7), rows(9)).n_left == 0
    few = Grader()
    result = label(tmp_path, teacher(few, max_calls=6), rows(9), restart=True)
    # One text of each row is left over, as if the rows had been scored one by one.
    assert (result.n_rows, result.n_left) == (0, 9)
    assert len(few.asked) == 2 * 9 * 6


class Length(SimplePairScorer):
    spec = reranker_spec("tests/length", revision="1")

    def score_texts(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        return [float(len(text)) for _, text in pairs]


def test_one_of_several_teachers_is_enough_to_leave_a_row(tmp_path: Path) -> None:
    chat = teacher(Grader(about(2)))
    result = label(tmp_path, [Reranker(backend=Length()), chat], rows(6))
    assert (result.n_rows, result.n_left) == (5, 1)
    together = Ensemble([Reranker(backend=Length()), teacher(Grader(about(2)))], fusion="probability")
    result = label(tmp_path, together, rows(6), restart=True)
    assert (result.n_rows, result.n_left) == (5, 1)


class Own:
    """A teacher of one's own."""

    scale = "logit"

    def __init__(self, scores: list[float | None]) -> None:
        self._scores = scores

    def facts(self) -> dict[str, Any]:
        return {}

    def problem(self, record: TrainingRecord) -> str | None:
        return None

    def scores(self, block: Sequence[PlacedRecord]) -> list[float | None]:
        return self._scores


def test_a_teacher_of_ones_own_gives_a_number_or_none_for_each_text(tmp_path: Path) -> None:
    data = [{"query": "q", "pos": ["a"], "neg": ["b"]}]
    assert label(tmp_path, Own([1.0, None]), data).n_left == 1
    for scores, told in (([1.0, float("nan")], "NaN or infinity"), ([1.0], "gave 1 scores for 2 texts")):
        with pytest.raises(ScoringError, match=f"data.jsonl:1: a teacher .*{told}"):
            label(tmp_path, Own(scores), data, restart=True)


def test_known_scores_are_those_that_came() -> None:
    # The name of a fence is a random hexadecimal number, which may hold "bad".
    def fault(text: str) -> str | Exception | None:
        return TimeoutError() if "poor" in text else None

    chat = ChatScorer(Grader(fault), method=Pointwise(answer="grade"))
    cache = ScoreCache()
    with Reranker(backend=chat, cache=cache) as reranker:
        pairs = [("q", "good"), ("q", "poor"), ("q", " "), ("q", "good"), ("q", None)]
        for _ in range(2):
            assert known_scores(reranker, pairs) == [0.7, None, reranker.score([("q", " ")])[0], 0.7, -10_000.0]
        assert reranker.score(pairs)[1] == 0.0
    windows = LongDocuments(strategy="maxp", overlap_tokens=0)
    with Reranker(backend=chat, max_length=6, long_documents=windows) as reranker:
        long = ["one two three four five six seven eight poor ten", "one two three four five six seven eight nine ten"]
        assert known_scores(reranker, [("q", long[0]), ("q", "short"), ("q", long[1])]) == [None, 0.7, 0.7]


def test_what_a_judge_says_nothing_of_is_no_negative() -> None:
    judge = RerankerJudge(teacher(Grader(lambda text: TimeoutError() if "poor" in text else None)))
    candidate = Candidate(number=0, score=0.5)
    assert judge.scores([("q", "good"), ("q", "poor")], [candidate, candidate]) == [0.7, 1.0]
    assert judge.scores([("q", "poor")], [None]) == [0.0]
