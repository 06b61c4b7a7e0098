"""Tokens are estimated from characters, and a busy model refuses more with a time after which to come back."""

from __future__ import annotations

import pytest

from rerank_plugins.serving.admission import Admission, estimated_tokens, pair_tokens
from rerank_plugins.serving.refusals import Refusal
from rerank_plugins.serving.requests import Spans
from rerank_plugins.serving.spans import chosen_spans, sentence_spans


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_estimates_follow_script_and_limits() -> None:
    assert estimated_tokens("") == 1
    assert estimated_tokens("a" * 400) == 101
    assert estimated_tokens("熊猫" * 50) == 101
    assert estimated_tokens("a" * 4_000, most=512) == 512
    one = pair_tokens("a" * 40, ["b" * 400], length=512, windows=False)
    assert pair_tokens("a" * 40, ["b" * 400] * 3, length=512, windows=False) == 3 * one
    assert pair_tokens("q", ["b" * 40_000], length=512, windows=False) == 512
    assert pair_tokens("q", ["b" * 40_000], length=512, windows=True) > 10_000


def test_an_idle_model_takes_anything_and_a_busy_one_no_more_than_its_limit() -> None:
    admission = Admission(100, clock=Clock())
    with admission.admitted(1_000, time_left_s=None):
        assert admission.waiting_tokens == 1_000
        with pytest.raises(Refusal) as refused, admission.admitted(1, time_left_s=None):
            pass
    assert (refused.value.kind, refused.value.retry_after_s) == ("overloaded", 1)
    with admission.admitted(60, time_left_s=None), admission.admitted(40, time_left_s=None):
        assert admission.waiting_tokens == 100
    assert admission.waiting_tokens == 0


def test_the_time_to_come_back_is_computed_from_the_measured_speed() -> None:
    clock = Clock()
    admission = Admission(1_000, clock=clock)
    with admission.admitted(100, time_left_s=None):
        clock.now += 1.0
    assert admission.tokens_per_s == pytest.approx(100, rel=0.2)
    with (
        admission.admitted(1_000, time_left_s=None),
        pytest.raises(Refusal) as refused,
        admission.admitted(1_000, time_left_s=None),
    ):
        pass
    assert refused.value.retry_after_s in {9, 10, 11}


def test_a_request_whose_turn_would_come_too_late_is_refused_now() -> None:
    clock = Clock()
    admission = Admission(None, clock=clock)
    with admission.admitted(100, time_left_s=None):
        clock.now += 1.0
    with admission.admitted(500, time_left_s=60):
        with pytest.raises(Refusal), admission.admitted(100, time_left_s=2):
            pass
        with pytest.raises(Refusal), admission.admitted(100, time_left_s=10):
            pass
        with admission.admitted(100, time_left_s=13):
            pass


def test_failed_requests_do_not_count_as_speed() -> None:
    clock = Clock()
    admission = Admission(None, clock=clock)
    with pytest.raises(ZeroDivisionError), admission.admitted(100, time_left_s=None):
        raise ZeroDivisionError
    assert admission.tokens_per_s is None
    assert admission.waiting_tokens == 0


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", []),
        ("  \n ", []),
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        ("  3.14 is pi.  \n\n Next ", ["3.14 is pi.", "Next"]),
        ("熊猫吃竹子。火车开了！", ["熊猫吃竹子。", "火车开了！"]),
    ],
)
def test_sentences(text: str, parts: list[str]) -> None:
    assert [text[start:end] for start, end in sentence_spans(text)] == parts


def test_a_long_document_has_no_more_than_64_parts_and_all_of_its_text() -> None:
    text = " ".join(f"Sentence {number}." for number in range(1_000))
    spans = sentence_spans(text)
    assert len(spans) <= 64
    assert " ".join(text[start:end] for start, end in spans) == text


def test_spans_are_chosen_by_threshold_and_number() -> None:
    parts = [(0, 1), (2, 3), (4, 5)]
    found = chosen_spans(parts, [0.2, 0.9, 0.05], Spans(threshold=0.1, most=None))
    assert [(one.start, one.score) for one in found] == [(2, 0.9), (0, 0.2)]
    assert len(chosen_spans(parts, [0.2, 0.9, 0.05], Spans(threshold=0.1, most=1))) == 1
