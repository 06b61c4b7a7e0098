"""Sentences: nothing of a text is lost, and what ends one."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rerank_plugins.errors import InvalidInputError
from rerank_plugins.text.sentences import sentence_spans

PIECES = st.sampled_from(
    [
        *"abAB 1.!?…。！？\n\t\"')”」,，-*",
        "Dr.",
        " e.g. ",
        "U.S.",
        "\n\n",
        "\n- ",
        "2. ",
        "的",
        "\ud800",
        "🙂",
        "\u3000",
    ]
)


def sentences(text: str, **options: int) -> list[str]:
    return [text[span.start : span.end] for span in sentence_spans(text, **options)]


@settings(derandomize=True, deadline=None, max_examples=400)
@given(st.one_of(st.text(), st.lists(PIECES).map("".join)), st.integers(20, 60))
def test_spans_follow_one_another_and_cover_the_text(text: str, longest: int) -> None:
    spans = sentence_spans(text, longest=longest)
    assert [span.start for span in spans] == [0, *(span.end for span in spans[:-1])][: len(spans)]
    assert (spans[-1].end if spans else 0) == len(text)
    assert all(0 < span.end - span.start <= longest for span in spans)
    if text.strip() and len(text) <= longest:
        assert all(one.strip() for one in sentences(text, longest=longest))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three? Four… Five", ["One. ", "Two! ", "Three? ", "Four… ", "Five"]),
        ("Dr. Smith met J. F. Kennedy. He left.", ["Dr. Smith met J. F. Kennedy. ", "He left."]),
        ("It costs 3.50 dollars. See fig. 2 or No. 5.", ["It costs 3.50 dollars. ", "See fig. 2 or No. 5."]),
        ("In the U.S. Congress. In the U.S. The end.", ["In the U.S. Congress. ", "In the U.S. ", "The end."]),
        (
            "Acme Inc. Holdings grew. He has a Ph.D. She too.",
            ["Acme Inc. Holdings grew. ", "He has a Ph.D. ", "She too."],
        ),
        ('"Go." She left. (He too.) Then', ['"Go." ', "She left. ", "(He too.) ", "Then"]),
        ("See e.g. this one, i.e. that. no more", ["See e.g. this one, i.e. that. no more"]),
        ("A\n\nB\n- c\n- d\n1. e", ["A\n\n", "B\n", "- c\n", "- d\n", "1. e"]),
        ("wrapped\nlines stay. Together", ["wrapped\nlines stay. ", "Together"]),
        ("他来了。“真的？”她问！好吗?是的", ["他来了。", "“真的？”", "她问！", "好吗?", "是的"]),
        ("日本語です。次の文。", ["日本語です。", "次の文。"]),
        ("   ", ["   "]),
        ("", []),
    ],
)
def test_what_ends_a_sentence(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


def test_a_text_without_stops_is_cut_at_a_comma_or_space() -> None:
    found = sentences("word, " * 20, longest=50)
    assert "".join(found) == "word, " * 20
    assert all(one.endswith(", ") for one in found)
    assert [len(one) for one in sentences("x" * 120, longest=50)] == [50, 50, 20]


@pytest.mark.parametrize("unit", [".", "\n ", " ", ".)", "!", "\n", "。”", "a. ", "1.\n"])
def test_time_grows_with_the_length_alone(unit: str) -> None:
    def seconds(n: int) -> float:
        start_s = time.process_time()
        sentence_spans(unit * n)
        return time.process_time() - start_s

    # 32 times the text would take 1,024 times as long where a pattern runs back.
    shortest = max(min(seconds(2_000) for _ in range(3)), 1e-3)
    assert min(seconds(64_000) for _ in range(2)) < 250 * shortest


def test_the_limit_is_checked() -> None:
    with pytest.raises(InvalidInputError, match="longest"):
        sentence_spans("text", longest=5)
